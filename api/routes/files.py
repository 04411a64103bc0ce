"""``/v1/files``: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from api.content import Content, content_response
from api.deps import FilePage, Id, MetadataFilter, ProjectId, Reading, Service, ServiceDep, Writing
from api.documentation import failures, multipart_body, raw_body
from api.guarded_route import GuardedRoute
from api.receive import Destination, Upload, receive_body, receive_form
from api.schemas.base import Deleted, ListAnswer, list_of
from api.schemas.files import FileObject
from core.errors import InvalidRequest
from services import files
from storage.stretches import read_stretches

router = APIRouter(prefix="/v1/files", tags=["files"], route_class=GuardedRoute)
_ANCHOR = "expires_after[anchor]"
_SECONDS = "expires_after[seconds]"
_FORM_FIELDS = ("purpose", _ANCHOR, _SECONDS)
_LONGEST_NUMBER = 15


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the client says about its bytes."""

    purpose: str
    lifetime_seconds: int | None


@router.post(
    "",
    operation_id="upload_file",
    openapi_extra=multipart_body(
        {
            "purpose": {"type": "string", "default": files.DEFAULT_PURPOSE},
            _ANCHOR: {"type": "string", "const": "created_at"},
            _SECONDS: {
                "type": "integer",
                "minimum": files.MIN_LIFETIME_SECONDS,
                "maximum": files.MAX_LIFETIME_SECONDS,
            },
        }
    ),
    responses=failures(400, 413, 415, 422, 429, 503),
)
async def upload_file(request: Request, service: ServiceDep, project_id: ProjectId) -> FileObject:
    """Upload a file; ``purpose`` may stand before or after it.

    ``x-sha256`` (of the file) and ``Content-Digest`` (of the body) are checked if they are sent.
    """
    async with receive_form(
        request,
        Destination.of_files(service, project_id),
        max_text_bytes=service.settings.max_json_bytes,
    ) as upload:
        terms = _Terms(
            purpose=upload.fields.get("purpose", files.DEFAULT_PURPOSE),
            lifetime_seconds=_lifetime_seconds(upload.fields),
        )
        return await run_in_threadpool(_create, service, project_id, upload, terms)


@router.put(
    "/{id}",
    status_code=201,
    operation_id="put_file",
    openapi_extra=raw_body(),
    responses=failures(400, 413, 415, 422, 429, 503),
)
async def put_file(
    *,
    filename: Annotated[str, PathParameter(alias="id", description="The file's name")],
    request: Request,
    service: ServiceDep,
    project_id: ProjectId,
    purpose: Annotated[str, Query(max_length=files.MAX_PURPOSE_LENGTH)] = files.DEFAULT_PURPOSE,
    expires_after_seconds: Annotated[
        int | None,
        Query(
            ge=files.MIN_LIFETIME_SECONDS,
            le=files.MAX_LIFETIME_SECONDS,
            description="Delete the file so long after its creation; default: keep it",
        ),
    ] = None,
) -> FileObject:
    """Upload the body as a new file named as the last segment: ``curl -T x http://.../v1/files/``.

    ``Content-Digest`` (sha-256, sha-512) or ``x-sha256`` is checked if it is sent.
    """
    terms = _Terms(
        purpose=purpose,
        lifetime_seconds=expires_after_seconds,
    )
    async with receive_body(
        request, Destination.of_files(service, project_id), filename=filename
    ) as upload:
        return await run_in_threadpool(_create, service, project_id, upload, terms)


@router.get("", operation_id="list_files", responses=failures(422))
def list_files(
    *,
    uow: Reading,
    page: FilePage,
    metadata: MetadataFilter,
    purpose: Annotated[str | None, Query(description="Only files of this purpose")] = None,
) -> ListAnswer[FileObject]:
    """List files, newest first."""
    found = uow.files.page(
        limit=page.limit, after=page.after, order=page.order, purpose=purpose, metadata=metadata
    )
    return list_of([FileObject.of(file) for file in found.items], has_more=found.has_more)


@router.get("/{id}", operation_id="get_file", responses=failures(404))
def get_file(file_id: Id, uow: Reading) -> FileObject:
    """Show a file."""
    return FileObject.of(uow.files.get(file_id))


@router.delete("/{id}", operation_id="delete_file", responses=failures(404, 409))
def delete_file(file_id: Id, uow: Writing, service: ServiceDep) -> Deleted:
    """Delete a file that no unfinished corpus needs."""
    file = files.delete(uow, file_id, store=service.store)
    return Deleted(id=file.id, object="file")


@router.get(
    "/{id}/content",
    operation_id="get_file_content",
    response_class=Response,
    responses=failures(404, 412, 416),
)
def get_file_content(
    file_id: Id,
    request: Request,
    uow: Reading,
    service: ServiceDep,
) -> Response:
    """Download a file's bytes, or a range of them."""
    file = uow.files.get(file_id)
    where = files.stretches(uow, file_id)
    content = Content(
        num_bytes=file.num_bytes,
        etag=file.sha256,
        read=lambda start, end: read_stretches(service.store, where, start=start, end=end),
        filename=file.filename,
    )
    return content_response(request, content)


def _lifetime_seconds(fields: Mapping[str, str]) -> int | None:
    """How long the form wants the file to be kept: ``expires_after``, as its bracketed fields.

    Raises:
        InvalidRequest: one of them holds something else than it may.
    """
    anchor, seconds = fields.get(_ANCHOR, "created_at"), fields.get(_SECONDS)
    if anchor != "created_at":
        raise InvalidRequest(f"{_ANCHOR} is 'created_at', not {anchor!r}.", param=_ANCHOR)
    if seconds is None:
        if _ANCHOR in fields:
            raise InvalidRequest(f"{_SECONDS} is missing.", code="missing_field", param=_SECONDS)
        return None
    is_number = seconds.isascii() and seconds.isdigit() and len(seconds) <= _LONGEST_NUMBER
    if not is_number or not files.is_lifetime(int(seconds)):
        raise InvalidRequest(
            f"{_SECONDS} is a number from {files.MIN_LIFETIME_SECONDS} to "
            f"{files.MAX_LIFETIME_SECONDS}, not {seconds[:80]!r}.",
            param=_SECONDS,
        )
    return int(seconds)


def _create(service: Service, project_id: str, upload: Upload, terms: _Terms) -> FileObject:
    sent = upload.only_file(fields=_FORM_FIELDS)
    with service.database.unit_of_work(project_id, write=True) as uow:
        file = files.create(
            uow,
            sent,
            purpose=terms.purpose,
            lifetime_seconds=terms.lifetime_seconds,
            store=service.store,
        )
        upload.keep(uow)
        uow.commit()
        return FileObject.of(file)
