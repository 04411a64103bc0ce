"""``/v1/files``: bytes in, bytes out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from api.content import Content, content_response
from api.deps import FilePage, Id, MetadataFilter, ProjectId, Reading, Service, ServiceDep, Writing
from api.documentation import failures, multipart_body, raw_body
from api.guarded_route import GuardedRoute
from api.receive import Upload, announced_sha256, receive_body, receive_form
from api.schemas.base import Deleted, ListAnswer, list_of
from api.schemas.files import FileObject
from core.errors import InvalidRequest, did_you_mean
from services import files
from storage.base import StoredObject

router = APIRouter(prefix="/v1/files", tags=["files"], route_class=GuardedRoute)
_FORM_FIELDS = ("purpose",)


@router.post(
    "",
    operation_id="upload_file",
    openapi_extra=multipart_body(
        required=["file"],
        purpose={"type": "string", "default": files.DEFAULT_PURPOSE},
    ),
    responses=failures(400, 413, 415, 422, 503),
)
async def upload_file(request: Request, service: ServiceDep, project_id: ProjectId) -> FileObject:
    """Upload a file; ``purpose`` may stand before or after it."""
    digest = announced_sha256(request)
    async with receive_form(
        request,
        store=service.store,
        limits=service.upload_limits,
        max_text_bytes=service.settings.max_json_bytes,
    ) as upload:
        _check_form(upload)
        purpose = upload.fields.get("purpose", files.DEFAULT_PURPOSE)
        return await run_in_threadpool(_create, service, project_id, upload, purpose, digest)


@router.put(
    "/{id}",
    status_code=201,
    operation_id="put_file",
    openapi_extra=raw_body(),
    responses=failures(400, 413, 422, 503),
)
async def put_file(
    *,
    filename: Annotated[str, PathParameter(alias="id", description="The file's name")],
    request: Request,
    service: ServiceDep,
    project_id: ProjectId,
    purpose: Annotated[str, Query(max_length=files.MAX_PURPOSE_LENGTH)] = files.DEFAULT_PURPOSE,
) -> FileObject:
    """Upload the body as a new file named as the last segment: ``curl -T x http://.../v1/files/``.

    ``Content-Digest: sha-256=:...:`` or ``x-sha256`` is checked if it is sent.
    """
    digest = announced_sha256(request)
    async with receive_body(
        request, filename=filename, store=service.store, limits=service.upload_limits
    ) as upload:
        return await run_in_threadpool(_create, service, project_id, upload, purpose, digest)


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
    responses=failures(404, 416),
)
def get_file_content(
    file_id: Id,
    request: Request,
    uow: Reading,
    service: ServiceDep,
) -> Response:
    """Download a file's bytes, or a range of them."""
    file = uow.files.get(file_id)
    pieces = [
        StoredObject(key=blob.key, num_bytes=blob.num_bytes, sha256=blob.sha256)
        for blob in uow.files.pieces(file_id)
    ]
    content = Content(
        num_bytes=file.num_bytes,
        etag=file.sha256,
        read=lambda start, end: files.read_pieces(service.store, pieces, start=start, end=end),
        filename=file.filename,
    )
    return content_response(request, content)


def _check_form(upload: Upload) -> None:
    for name in upload.fields:
        if name not in _FORM_FIELDS:
            known = did_you_mean(name, [*_FORM_FIELDS, "file"])
            raise InvalidRequest(
                f"There is no field {name!r}.{known}", code="unknown_field", param=name
            )
    if len(upload.files) != 1:
        raise InvalidRequest(
            f"A form has one part named 'file'; here are {len(upload.files)}.",
            code="missing_field" if not upload.files else None,
            param="file",
        )


def _create(
    service: Service, project_id: str, upload: Upload, purpose: str, digest: str | None
) -> FileObject:
    received = upload.files[0]
    files.check_digest(received, announced=digest)
    with service.database.unit_of_work(project_id, write=True) as uow:
        file = files.create(uow, received, purpose=purpose, store=service.store)
        uow.after_commit(upload.keep)
        uow.commit()
        return FileObject.of(file)
