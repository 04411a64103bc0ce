"""``/v1/corpora``: documents made from files."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from api.content import Content, content_response
from api.deps import Id, MetadataFilter, Page, ProjectId, Reading, Service, ServiceDep, Writing
from api.documentation import corpus_body, failures
from api.errors import CheckedBodyError
from api.guarded_route import GuardedRoute, read_json
from api.json_body import parse_json
from api.pages.frame import page_headers
from api.pages.negotiation import wants_page
from api.pages.report import report_page
from api.receive import Destination, Upload, receive_form
from api.schemas.base import Deleted, ListAnswer, list_of
from api.schemas.corpora import (
    CorpusFields,
    CorpusObject,
    CorpusReportObject,
    CorpusRequest,
    DocumentObject,
    ExampleObject,
    ExamplesRequest,
    RemovedPiece,
)
from api.views import corpus_view
from core.errors import InvalidRequest, MalformedRequest
from core.lifecycle import ResourceStatus
from services import corpora, documents, files, readiness

router = APIRouter(prefix="/v1/corpora", tags=["corpora"], route_class=GuardedRoute)
Model = TypeVar("Model", bound=BaseModel)
_OBJECTS_IN_A_FORM = frozenset({"metadata"})
_MAYBE_OBJECTS_IN_A_FORM = frozenset({"clean"})
"""A name or an object; what begins with a brace is one."""
_LONGEST_NUMBER = 15
_NUMBERS_IN_A_FORM = frozenset({"validation_fraction"})


@router.post(
    "",
    status_code=202,
    operation_id="create_corpus",
    openapi_extra=corpus_body(CorpusRequest, CorpusFields),
    responses=failures(400, 404, 413, 415, 422, 503),
)
async def create_corpus(
    request: Request, service: ServiceDep, project_id: ProjectId
) -> CorpusObject:
    """Make a corpus from uploaded files, or upload and build in one call.

    The first is a JSON body with the files' ids, the second a form with one or more parts named
    ``file``; its fields may stand before or after them.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return await _create_from_form(request, service, project_id)
    if media_type != "application/json":
        raise HTTPException(
            415, "The body is application/json with file ids, or multipart/form-data with files."
        )
    body = await read_json(request)
    wanted = _checked(CorpusRequest, body)
    return await run_in_threadpool(_create, service, project_id, wanted, wanted.files)


@router.get("", operation_id="list_corpora", responses=failures(422))
def list_corpora(
    *,
    uow: Reading,
    page: Page,
    metadata: MetadataFilter,
    status: Annotated[ResourceStatus | None, Query(description="Only corpora so far")] = None,
) -> ListAnswer[CorpusObject]:
    """List corpora, newest first."""
    found = uow.corpora.page(
        limit=page.limit, after=page.after, order=page.order, status=status, metadata=metadata
    )
    file_ids = uow.corpora.file_ids_of([corpus.id for corpus in found.items])
    views = [CorpusObject.of(row, file_ids=file_ids.get(row.id, [])) for row in found.items]
    return list_of(views, has_more=found.has_more)


@router.get("/{id}", operation_id="get_corpus", responses=failures(404))
def get_corpus(corpus_id: Id, uow: Reading) -> CorpusObject:
    """Show a corpus."""
    return corpus_view(uow, uow.corpora.get(corpus_id))


@router.delete("/{id}", operation_id="delete_corpus", responses=failures(404, 409))
def delete_corpus(corpus_id: Id, uow: Writing, service: ServiceDep) -> Deleted:
    """Delete a corpus that nothing unfinished needs."""
    corpora.delete(uow, corpus_id, store=service.store)
    return Deleted(id=corpus_id, object="corpus")


@router.get(
    "/{id}/report",
    operation_id="get_corpus_report",
    response_model=CorpusReportObject,
    responses={
        200: {"content": {"text/html": {"schema": {"type": "string"}}}},
        **failures(404, 409, 412, 416, 422),
    },
)
def get_corpus_report(
    *,
    corpus_id: Id,
    request: Request,
    uow: Reading,
    service: ServiceDep,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    wanted: Annotated[
        Literal["json", "html"] | None,
        Query(alias="format", description="Default: what Accept prefers; browsers get the page"),
    ] = None,
) -> Response:
    """Show what became of every record and every byte: to programs as JSON, to people as a page.

    What was kept, dropped and found twice, why and where, with examples of each; languages,
    scripts and lengths; damaged bytes with file and line; how well validation is kept apart; the
    digests of everything.
    """
    corpus = readiness.ready_corpus(uow, corpus_id)
    tokenizer = uow.tokenizers.find(corpus.default_tokenizer_id or "")
    stored = documents.report(service.store, corpus.id)
    report = CorpusReportObject.of(
        corpus, stored.content, sha256=stored.sha256, tokenizer=tokenizer
    )
    headers = {"vary": "accept", "cache-control": "private, no-cache"}
    if wanted == "html" or (wanted is None and wants_page(accept)):
        page = Content.of_bytes(report_page(report).encode(), media_type="text/html; charset=utf-8")
        return content_response(request, page, headers=headers | page_headers())
    facts = Content.of_bytes(report.model_dump_json().encode(), media_type="application/json")
    return content_response(request, facts, headers=headers)


@router.get(
    "/{id}/documents", operation_id="list_corpus_documents", responses=failures(404, 409, 422)
)
def list_corpus_documents(
    *,
    corpus_id: Id,
    service: ServiceDep,
    project_id: ProjectId,
    split: Literal["train", "validation"] = "train",
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most")] = 20,
    after: Annotated[str | None, Query(description="The id after which to begin")] = None,
) -> ListAnswer[DocumentObject]:
    """List the documents of one split, in their order."""
    with service.database.unit_of_work(project_id) as uow:
        corpus = readiness.ready_corpus(uow, corpus_id)
    found = documents.page(
        service.store,
        corpus.id,
        split=split,
        start=_document_number(after, split=split),
        limit=limit,
        cache=service.settings.cache_dir,
    )
    views = [
        DocumentObject(
            id=f"{split}-{document.index}",
            text=document.text,
            file=document.file,
            place=document.place,
            record=document.record,
        )
        for document in found.items
    ]
    return list_of(views, has_more=found.has_more)


@router.post(
    "/{id}/examples", operation_id="make_examples", responses=failures(400, 404, 409, 415, 422)
)
def make_examples(
    corpus_id: Id,
    body: ExamplesRequest,
    service: ServiceDep,
    project_id: ProjectId,
) -> ListAnswer[ExampleObject]:
    """Make labelled examples, just as a job would: the blank, and what was removed."""
    from services import examples  # noqa: PLC0415 - loads numpy, which few processes need

    with service.database.unit_of_work(project_id) as uow:
        source = examples.find_source(uow, corpus_id, tokenizer_id=body.tokenizer)
    made = examples.make(
        source,
        objective=body.objective,
        context_length=body.context_length,
        seed=body.seed,
        limit=body.limit,
        first=body.first,
        stage=body.stage - 1,
        store=service.store,
        cache=service.settings.cache_dir,
    )
    return list_of(
        [
            ExampleObject(
                text=example.text,
                blanked=example.blanked,
                removed=[
                    RemovedPiece(text=piece.text, start=piece.start, end=piece.end)
                    for piece in example.removed
                ],
                input_tokens=list(example.input_tokens),
                label_tokens=list(example.label_tokens),
                label_positions=list(example.label_positions),
            )
            for example in made
        ]
    )


async def _create_from_form(request: Request, service: Service, project_id: str) -> CorpusObject:
    async with receive_form(
        request,
        Destination.of_files(service, project_id),
        max_text_bytes=service.settings.max_json_bytes,
    ) as upload:
        wanted = _checked(CorpusFields, _form_as_json(upload.fields))
        if not upload.files:
            raise InvalidRequest(
                "A form has one or more parts named 'file'.", code="missing_field", param="file"
            )
        return await run_in_threadpool(_create, service, project_id, wanted, [], upload)


def _create(
    service: Service,
    project_id: str,
    wanted: CorpusFields,
    file_ids: list[str],
    upload: Upload | None = None,
) -> CorpusObject:
    with service.database.unit_of_work(project_id, write=True) as uow:
        if upload is not None:
            file_ids = [
                files.create(uow, received, purpose=files.DEFAULT_PURPOSE, store=service.store).id
                for received in upload.files
            ]
            upload.keep(uow)
        corpus = corpora.create(
            uow,
            name=wanted.name,
            file_ids=file_ids,
            options=wanted.options,
            extends=wanted.extends,
            metadata=wanted.metadata,
            doorbell=service.doorbell,
        )
        view = corpus_view(uow, corpus)
        uow.commit()
    return view


def _checked(model: type[Model], body: object) -> Model:
    """The body as a model, failing just as the framework's own check does."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        located = [{**found, "loc": ("body", *found["loc"])} for found in error.errors()]
        raise CheckedBodyError(located, body=body, model=model) from None


def _form_as_json(fields: dict[str, str]) -> dict[str, Any]:
    """A form's text as JSON would say it: numbers as numbers, objects as objects."""
    parsed: dict[str, Any] = dict(fields)
    objects = {name for name in _MAYBE_OBJECTS_IN_A_FORM if _begins_an_object(fields.get(name))}
    for name in (_OBJECTS_IN_A_FORM | _NUMBERS_IN_A_FORM | objects) & fields.keys():
        try:
            parsed[name] = parse_json(fields[name].encode(), called=name)
        except MalformedRequest as error:
            raise InvalidRequest(error.message, code="invalid_value", param=name) from None
    return parsed


def _begins_an_object(text: str | None) -> bool:
    return text is not None and text.lstrip().startswith("{")


def _document_number(after: str | None, *, split: str) -> int:
    """The number of the document that follows ``after``."""
    if after is None:
        return 0
    name, _, number = after.rpartition("-")
    if name != split or not (
        number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER
    ):
        raise InvalidRequest(
            f"after: the id of a document of this split, such as '{split}-19', not {after!r}.",
            param="after",
        )
    return int(number) + 1
