"""``/v1/tokenizers``: text to token ids and back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.content import Content, content_response
from api.deps import Id, MetadataFilter, Page, Reading, ServiceDep, Writing
from api.documentation import failures
from api.guarded_route import GuardedRoute
from api.schemas.base import Deleted, ListAnswer, list_of
from api.schemas.tokenizers import (
    DecodeRequest,
    Decoding,
    EncodeRequest,
    Encoding,
    TokenizerBody,
    TokenizerObject,
)
from core.lifecycle import ResourceStatus
from services import readiness, tokenizers
from storage import keys

router = APIRouter(prefix="/v1/tokenizers", tags=["tokenizers"], route_class=GuardedRoute)


@router.post(
    "",
    status_code=202,
    operation_id="create_tokenizer",
    responses=failures(400, 404, 409, 413, 415, 422),
)
def create_tokenizer(body: TokenizerBody, uow: Writing, service: ServiceDep) -> TokenizerObject:
    """Make a tokenizer from a corpus, as soon as that is ready, or take an uploaded one."""
    if body.file is not None:
        tokenizer = tokenizers.create_from_file(
            uow,
            file_id=body.file,
            corpus_id=body.corpus,
            name=body.name,
            metadata=body.metadata,
            doorbell=service.doorbell,
        )
    else:
        tokenizer = tokenizers.create(
            uow,
            corpus_id=body.corpus or "",
            vocab_size=body.vocab_size,
            algorithm=body.algorithm or tokenizers.DEFAULT_ALGORITHM,
            name=body.name,
            metadata=body.metadata,
            doorbell=service.doorbell,
        )
    return TokenizerObject.of(tokenizer)


@router.get("", operation_id="list_tokenizers", responses=failures(422))
def list_tokenizers(
    *,
    uow: Reading,
    page: Page,
    metadata: MetadataFilter,
    status: Annotated[ResourceStatus | None, Query(description="Only tokenizers so far")] = None,
    corpus: Annotated[str | None, Query(description="Only tokenizers of this corpus")] = None,
) -> ListAnswer[TokenizerObject]:
    """List tokenizers, newest first."""
    found = uow.tokenizers.page(
        limit=page.limit,
        after=page.after,
        order=page.order,
        status=status,
        corpus_id=corpus,
        metadata=metadata,
    )
    return list_of([TokenizerObject.of(row) for row in found.items], has_more=found.has_more)


@router.get("/{id}", operation_id="get_tokenizer", responses=failures(404))
def get_tokenizer(tokenizer_id: Id, uow: Reading) -> TokenizerObject:
    """Show a tokenizer."""
    return TokenizerObject.of(uow.tokenizers.get(tokenizer_id))


@router.delete("/{id}", operation_id="delete_tokenizer", responses=failures(404, 409))
def delete_tokenizer(tokenizer_id: Id, uow: Writing, service: ServiceDep) -> Deleted:
    """Delete a tokenizer that no unfinished job needs."""
    tokenizers.delete(uow, tokenizer_id, store=service.store)
    return Deleted(id=tokenizer_id, object="tokenizer")


@router.get(
    "/{id}/files/tokenizer.json",
    operation_id="get_tokenizer_file",
    response_class=Response,
    responses=failures(404, 409, 412, 416),
)
def get_tokenizer_file(
    tokenizer_id: Id,
    request: Request,
    uow: Reading,
    service: ServiceDep,
) -> Response:
    """Download a tokenizer as `tokenizers` and `transformers` read it."""
    tokenizer = readiness.ready_tokenizer(uow, tokenizer_id)
    key = keys.tokenizer_file(tokenizer.id)
    assert tokenizer.sha256 is not None  # it is ready
    content = Content(
        num_bytes=service.store.size(key),
        etag=tokenizer.sha256,
        read=lambda start, end: service.store.open(key, start=start, end=end),
        media_type="application/json",
        filename=keys.TOKENIZER_FILE,
    )
    return content_response(request, content)


@router.post(
    "/{id}/encode", operation_id="encode_text", responses=failures(400, 404, 409, 413, 415, 422)
)
def encode(tokenizer_id: Id, body: EncodeRequest, uow: Reading, service: ServiceDep) -> Encoding:
    """Turn a text into tokens."""
    from services import encoding  # noqa: PLC0415 - loads numpy, which few processes need

    readiness.ready_tokenizer(uow, tokenizer_id)
    tokens, pieces = encoding.encode(service.store, tokenizer_id, body.text)
    return Encoding(tokens=tokens, pieces=pieces)


@router.post(
    "/{id}/decode", operation_id="decode_tokens", responses=failures(400, 404, 409, 413, 415, 422)
)
def decode(tokenizer_id: Id, body: DecodeRequest, uow: Reading, service: ServiceDep) -> Decoding:
    """Turn tokens into a text."""
    from services import encoding  # noqa: PLC0415 - loads numpy, which few processes need

    readiness.ready_tokenizer(uow, tokenizer_id)
    return Decoding(text=encoding.decode(service.store, tokenizer_id, body.tokens))
