"""``/v1/checkpoints``: trained weights, file by file or as one archive."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.content import Content, content_response
from api.deps import Id, Page, Reading, ServiceDep, Writing
from api.documentation import failures
from api.guarded_route import GuardedRoute
from api.schemas.base import Deleted, ListAnswer, list_of
from api.schemas.checkpoints import CheckpointBody, CheckpointChanges, CheckpointObject
from api.views import checkpoint_view, checkpoint_views
from core.errors import NotFound
from core.lifecycle import CheckpointStatus
from services import checkpoints, imports
from services.archives import plan_archive

router = APIRouter(prefix="/v1/checkpoints", tags=["checkpoints"], route_class=GuardedRoute)
_RESUMES_TRAINING = "training_state/"


@router.post(
    "",
    status_code=202,
    operation_id="create_checkpoint",
    responses=failures(400, 404, 409, 413, 415, 422),
)
def create_checkpoint(body: CheckpointBody, uow: Writing, service: ServiceDep) -> CheckpointObject:
    """Take an uploaded Hugging Face folder, to go on from it: Qwen3 or ModernBERT, safetensors."""
    if body.archive is not None:
        checkpoint = imports.create_from_archive(uow, body.archive, doorbell=service.doorbell)
    else:
        checkpoint = imports.create_from_files(uow, body.files or (), doorbell=service.doorbell)
    return checkpoint_view(uow, checkpoint)


@router.get("", operation_id="list_checkpoints", responses=failures(422))
def list_checkpoints(
    uow: Reading,
    page: Page,
    job: Annotated[str | None, Query(description="Only checkpoints of this job")] = None,
    status: Annotated[
        CheckpointStatus, Query(description="The complete ones, unless told otherwise")
    ] = CheckpointStatus.COMPLETE,
) -> ListAnswer[CheckpointObject]:
    """List checkpoints, newest first."""
    found = uow.checkpoints.page(
        limit=page.limit, after=page.after, order=page.order, job_id=job, status=status
    )
    return list_of(checkpoint_views(uow, found.items), has_more=found.has_more)


@router.get("/{id}", operation_id="get_checkpoint", responses=failures(404))
def get_checkpoint(checkpoint_id: Id, uow: Reading) -> CheckpointObject:
    """Show a checkpoint."""
    return checkpoint_view(uow, uow.checkpoints.get(checkpoint_id))


@router.patch("/{id}", operation_id="change_checkpoint", responses=failures(400, 404, 409, 422))
def change_checkpoint(checkpoint_id: Id, body: CheckpointChanges, uow: Writing) -> CheckpointObject:
    """Pin a checkpoint, so that it is never pruned, or let it go again."""
    return checkpoint_view(uow, checkpoints.pin(uow, checkpoint_id, pinned=body.pinned))


@router.delete("/{id}", operation_id="delete_checkpoint", responses=failures(404, 409))
def delete_checkpoint(checkpoint_id: Id, uow: Writing, service: ServiceDep) -> Deleted:
    """Delete a checkpoint that no unfinished job goes on from."""
    checkpoints.delete(uow, checkpoint_id, store=service.store)
    return Deleted(id=checkpoint_id, object="checkpoint")


@router.get(
    "/{id}/files/{name:path}",
    operation_id="get_checkpoint_file",
    response_class=Response,
    responses=failures(404, 409, 412, 416),
)
def get_checkpoint_file(
    checkpoint_id: Id,
    name: str,
    request: Request,
    uow: Reading,
    service: ServiceDep,
) -> Response:
    """Download one file of a checkpoint's folder, or a range of it."""
    checkpoint = uow.checkpoints.get(checkpoint_id)
    checkpoints.require_complete(checkpoint)
    file = uow.checkpoints.find_file(checkpoint_id, name)
    if file is None:
        raise NotFound(f"Checkpoint {checkpoint_id!r} has no file {name!r}.", param="name")
    key = f"{checkpoint.prefix}{file.name}"
    content = Content(
        num_bytes=file.num_bytes,
        etag=file.sha256,
        read=lambda start, end: service.store.open(key, start=start, end=end),
        media_type="application/json" if name.endswith(".json") else "application/octet-stream",
        filename=name.rpartition("/")[2],
    )
    return content_response(request, content)


@router.get(
    "/{id}/archive",
    operation_id="get_checkpoint_archive",
    response_class=Response,
    responses={200: {"content": {"application/x-tar": {}}}, **failures(404, 409, 412, 416)},
)
def get_checkpoint_archive(
    *,
    checkpoint_id: Id,
    request: Request,
    uow: Reading,
    service: ServiceDep,
    training_state: Annotated[
        bool, Query(description="With what resumes training as well")
    ] = False,
) -> Response:
    """Download a checkpoint's folder as a tar file; an interrupted download can be resumed."""
    checkpoint = uow.checkpoints.get(checkpoint_id)
    checkpoints.require_complete(checkpoint)
    archive = plan_archive(
        [
            file
            for file in uow.checkpoints.files(checkpoint_id)
            if training_state or not file.name.startswith(_RESUMES_TRAINING)
        ],
        prefix=checkpoint.prefix,
        folder=checkpoint.id,
        modified_at=checkpoint.created_at,
    )
    content = Content(
        num_bytes=archive.num_bytes,
        etag=archive.etag,
        read=lambda start, end: archive.read(service.store, start=start, end=end),
        media_type="application/x-tar",
        filename=f"{checkpoint.id}.tar",
    )
    return content_response(request, content)
