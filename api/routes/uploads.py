"""``/v1/uploads``: a file in parts, in any order, from anywhere, going on after a crash."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from api.deps import Id, Page, ProjectId, Reading, Service, ServiceDep, Writing
from api.documentation import failures, multipart_body, raw_body
from api.guarded_route import GuardedRoute
from api.receive import Destination, Upload, receive_body, receive_form
from api.schemas.base import ListAnswer, list_of
from api.schemas.uploads import CompleteRequest, PartObject, UploadObject, UploadRequest
from api.views import upload_view, upload_views
from core.errors import NotFound
from services import uploads

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], route_class=GuardedRoute)
_PART = "data"


@router.post("", operation_id="create_upload", responses=failures(400, 413, 415, 422, 429, 503))
def create_upload(body: UploadRequest, uow: Writing, service: ServiceDep) -> UploadObject:
    """Announce a file that will arrive in parts; the project's quota counts it from now on."""
    upload = uploads.create(
        uow,
        filename=body.filename,
        num_bytes=body.bytes,
        mime_type=body.mime_type,
        purpose=body.purpose,
        lifetime_seconds=body.expires_after.seconds if body.expires_after else None,
        room=service.room,
        settings=service.settings,
    )
    return upload_view(uow, upload)


@router.get("", operation_id="list_uploads", responses=failures(422))
def list_uploads(*, uow: Reading, page: Page) -> ListAnswer[UploadObject]:
    """List uploads, newest first."""
    found = uow.uploads.page(limit=page.limit, after=page.after, order=page.order)
    return list_of(upload_views(uow, found.items), has_more=found.has_more)


@router.get("/{id}", operation_id="get_upload", responses=failures(404))
def get_upload(upload_id: Id, uow: Reading) -> UploadObject:
    """Show an upload."""
    return upload_view(uow, uow.uploads.get(upload_id))


@router.post(
    "/{id}/parts",
    operation_id="post_upload_part",
    openapi_extra=multipart_body({}, file=_PART),
    responses=failures(400, 404, 409, 413, 415, 422, 429, 503),
)
async def post_upload_part(
    upload_id: Id, request: Request, service: ServiceDep, project_id: ProjectId
) -> PartObject:
    """Add a part, as the field ``data`` of a form; a part that is sent twice is there twice."""
    destination = await run_in_threadpool(_destination, service, project_id, upload_id)
    async with receive_form(
        request, destination, max_text_bytes=service.settings.max_json_bytes
    ) as sent:
        return await run_in_threadpool(_add, destination, upload_id, sent, None)


@router.put(
    "/{id}/parts/{number}",
    operation_id="put_upload_part",
    openapi_extra=raw_body(),
    responses=failures(400, 404, 409, 413, 415, 422, 429, 503),
)
async def put_upload_part(
    *,
    upload_id: Id,
    number: Annotated[int, PathParameter(ge=0, le=uploads.MAX_PARTS, description="Of your choice")],
    request: Request,
    service: ServiceDep,
    project_id: ProjectId,
) -> PartObject:
    """Add a part under a number, as the body itself; sent again, it is the same part.

    Other bytes under the same number take the place of the earlier ones, as a new part.
    ``Content-Digest`` (sha-256, sha-512) or ``x-sha256`` is checked if it is sent.
    """
    destination = await run_in_threadpool(_destination, service, project_id, upload_id)
    async with receive_body(request, destination, filename="") as sent:
        return await run_in_threadpool(_add, destination, upload_id, sent, number)


@router.get("/{id}/parts", operation_id="list_upload_parts", responses=failures(404))
def list_upload_parts(upload_id: Id, uow: Reading) -> ListAnswer[PartObject]:
    """List all parts that are here, by number: a client that crashed goes on from them."""
    uow.uploads.get(upload_id)
    return list_of([PartObject.of(part) for part in uow.upload_parts.of_upload(upload_id)])


@router.post(
    "/{id}/complete",
    operation_id="complete_upload",
    responses=failures(400, 404, 409, 413, 415, 422, 503),
)
def complete_upload(
    upload_id: Id, body: CompleteRequest, service: ServiceDep, project_id: ProjectId
) -> UploadObject:
    """Make a file of the parts, in the order of ``part_ids``; parts that are not listed go.

    ``sha256`` or ``md5`` of the whole file is checked if it is sent. What is refused leaves the
    upload pending. Asked for again, it gives the same answer.
    """
    try:
        digests = _digests(service, project_id, upload_id, body)
    except NotFound:  # bytes have gone while they were read: then the upload has ended meanwhile
        digests = _digests(service, project_id, upload_id, body)
    digests.check(sha256=body.sha256, md5=body.md5)
    with service.database.unit_of_work(project_id, write=True) as uow:
        upload = uploads.complete(
            uow, upload_id, body.part_ids, sha256=digests.sha256, store=service.store
        )
        view = upload_view(uow, upload)
        uow.commit()
    return view


@router.post("/{id}/cancel", operation_id="cancel_upload", responses=failures(404, 409))
def cancel_upload(upload_id: Id, uow: Writing, service: ServiceDep) -> UploadObject:
    """Give an upload up, and delete its parts."""
    return upload_view(uow, uploads.cancel(uow, upload_id, store=service.store))


def _destination(service: Service, project_id: str, upload_id: str) -> Destination:
    """Where a part goes, if its upload still takes any."""
    with service.database.unit_of_work(project_id) as uow:
        upload = uploads.find_pending(uow, upload_id)
    max_bytes = min(service.settings.max_part_bytes, upload.num_bytes)
    return Destination(service, project_id, max_bytes, field=_PART, is_part=True)


def _add(destination: Destination, upload_id: str, sent: Upload, number: int | None) -> PartObject:
    received = sent.only_file().received
    service = destination.service
    with service.database.unit_of_work(destination.project_id, write=True) as uow:
        part, is_new = uploads.add_part(
            uow, upload_id, received, number=number, room=service.room, store=service.store
        )
        if is_new:
            sent.keep(uow)
        uow.commit()
    return PartObject.of(part)


def _digests(
    service: Service, project_id: str, upload_id: str, body: CompleteRequest
) -> uploads.Digests:
    """Of what is to be put together, or has been by the same request."""
    with service.database.unit_of_work(project_id) as uow:
        assembly = uploads.assemble(uow, upload_id, body.part_ids)
    return assembly.digest(service.store, with_md5=body.md5 is not None)
