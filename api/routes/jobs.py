"""``/v1/jobs``: requests for training, what becomes of them, and how to steer them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from starlette.concurrency import run_in_threadpool

from api.deps import (
    Id,
    MetadataFilter,
    Page,
    PageParams,
    ProjectId,
    Reading,
    Service,
    ServiceDep,
    Writing,
)
from api.documentation import JOB_EXAMPLES, failures
from api.guarded_route import GuardedRoute
from api.schemas.base import ListAnswer, list_of
from api.schemas.checkpoints import CheckpointObject
from api.schemas.events import EventObject
from api.schemas.jobs import AttemptObject, JobChanges, JobObject, MetricObject
from api.schemas.probes import ProbeObject
from api.streams import EventStream, wants_stream
from api.views import checkpoint_views, job_view
from api.waiting import MAX_WAIT_SECONDS, job_after
from core.job_request import JobRequest
from core.lifecycle import JobStatus
from services import job_changes, jobs
from services.event_file import event_file, event_file_name
from services.loss_curve import draw
from services.recipe import recipe

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=GuardedRoute)
_DRAWN_METRICS = ("train/loss", "validation/loss")
_DRAWN_POINTS = 500
MAX_RESOLUTION = 100_000


@router.post(
    "",
    status_code=201,
    operation_id="create_job",
    responses={
        201: {"headers": {"Location": {"schema": {"type": "string"}}}},
        **failures(400, 404, 409, 413, 415, 422),
    },
    openapi_extra={"requestBody": {"content": {"application/json": {"examples": JOB_EXAMPLES}}}},
)
def create_job(
    body: JobRequest, uow: Writing, service: ServiceDep, response: Response
) -> JobObject:
    """Ask for a model to be trained; only ``corpus`` is required.

    A corpus or tokenizer that is still being made is no error: the job waits for it.
    """
    job = jobs.create(
        uow, body, doorbell=service.doorbell, max_devices=service.settings.num_devices
    )
    response.headers["location"] = f"/v1/jobs/{job.id}"
    return job_view(uow, job)


@router.get("", operation_id="list_jobs", responses=failures(422))
def list_jobs(
    *,
    uow: Reading,
    page: Page,
    metadata: MetadataFilter,
    status: Annotated[
        list[JobStatus] | None, Query(description="Only jobs in one of these")
    ] = None,
    name: Annotated[str | None, Query(description="Only jobs of this name")] = None,
) -> ListAnswer[JobObject]:
    """List jobs, newest first."""
    found = uow.jobs.page(
        limit=page.limit,
        after=page.after,
        order=page.order,
        statuses=status or (),
        name=name,
        metadata=metadata,
    )
    return list_of([job_view(uow, job) for job in found.items], has_more=found.has_more)


@router.get("/{id}", operation_id="get_job", responses=failures(404, 422))
async def get_job(
    *,
    job_id: Id,
    service: ServiceDep,
    project_id: ProjectId,
    wait: Annotated[
        float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for another status")
    ] = 0,
    after_status: Annotated[
        JobStatus | None, Query(description="The status that you know; default: the present one")
    ] = None,
) -> JobObject:
    """Show a job; with ``wait``, as soon as its status changes."""
    return await job_after(
        service, project_id, job_id, wait_seconds=wait, after_status=after_status
    )


@router.patch("/{id}", operation_id="change_job", responses=failures(400, 404, 409, 422))
def change_job(job_id: Id, body: JobChanges, uow: Writing) -> JobObject:
    """Change a job's name, metadata or priority."""
    job = job_changes.change(
        uow, job_id, name=body.name, metadata=body.metadata, priority=body.priority
    )
    return job_view(uow, job)


@router.post("/{id}/cancel", operation_id="cancel_job", responses=failures(404, 409))
def cancel_job(job_id: Id, uow: Writing) -> JobObject:
    """Stop a job for good; its checkpoints stay."""
    return job_view(uow, job_changes.cancel(uow, job_id))


@router.post("/{id}/pause", operation_id="pause_job", responses=failures(404, 409))
def pause_job(job_id: Id, uow: Writing) -> JobObject:
    """Save a job and take it off its device until it is resumed."""
    return job_view(uow, job_changes.pause(uow, job_id))


@router.post("/{id}/resume", operation_id="resume_job", responses=failures(404, 409))
def resume_job(job_id: Id, uow: Writing, service: ServiceDep) -> JobObject:
    """Queue a paused job again."""
    return job_view(uow, job_changes.resume(uow, job_id, doorbell=service.doorbell))


@router.get(
    "/{id}/events",
    operation_id="list_job_events",
    response_model=ListAnswer[EventObject],
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        204: {"description": "The stream has ended, and the last event is known to the client"},
        **failures(404, 422),
    },
)
async def list_job_events(
    *,
    job_id: Id,
    service: ServiceDep,
    project_id: ProjectId,
    page: Page,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    last_event_id: Annotated[str | None, Header(description="Go on after this event")] = None,
) -> ListAnswer[EventObject] | Response:
    """List a job's events; with ``Accept: text/event-stream``, as they happen, from the first."""
    if wants_stream(accept):
        return await EventStream(service, project_id, job_id).respond(last_event_id)
    return await run_in_threadpool(_page_of_events, service, project_id, job_id, page)


@router.get("/{id}/metrics", operation_id="list_job_metrics", responses=failures(404, 422))
def list_job_metrics(
    *,
    job_id: Id,
    uow: Reading,
    name: Annotated[list[str] | None, Query(description="Which metrics; default: all")] = None,
    from_step: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    to_step: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    resolution: Annotated[
        int | None,
        Query(ge=2, le=MAX_RESOLUTION, description="At most so many points of each name"),
    ] = None,
) -> ListAnswer[MetricObject]:
    """List a job's metrics, oldest step first."""
    uow.jobs.get(job_id)
    points = uow.metrics.read(
        job_id, names=name or (), from_step=from_step, to_step=to_step, resolution=resolution
    )
    return list_of([MetricObject.of(point) for point in points])


@router.get("/{id}/attempts", operation_id="list_job_attempts", responses=failures(404, 422))
def list_job_attempts(job_id: Id, uow: Reading, page: Page) -> ListAnswer[AttemptObject]:
    """List the workers' tries at a job, newest first."""
    uow.jobs.get(job_id)
    found = uow.attempts.page(
        subject_id=job_id, limit=page.limit, after=page.after, order=page.order
    )
    return list_of([AttemptObject.of(row) for row in found.items], has_more=found.has_more)


@router.get("/{id}/checkpoints", operation_id="list_job_checkpoints", responses=failures(404, 422))
def list_job_checkpoints(job_id: Id, uow: Reading, page: Page) -> ListAnswer[CheckpointObject]:
    """List a job's complete checkpoints, newest first."""
    uow.jobs.get(job_id)
    found = uow.checkpoints.page(
        job_id=job_id, limit=page.limit, after=page.after, order=page.order
    )
    return list_of(checkpoint_views(uow, found.items), has_more=found.has_more)


@router.get("/{id}/probes", operation_id="list_job_probes", responses=failures(404, 422))
def list_job_probes(job_id: Id, uow: Reading, page: Page) -> ListAnswer[ProbeObject]:
    """List what the model said to each prompt and blank, newest first."""
    uow.jobs.get(job_id)
    found = uow.probes.page(job_id=job_id, limit=page.limit, after=page.after, order=page.order)
    return list_of([ProbeObject.of(row) for row in found.items], has_more=found.has_more)


@router.get("/{id}/recipe", operation_id="get_job_recipe", responses=failures(404))
def get_job_recipe(job_id: Id, uow: Reading) -> dict[str, Any]:
    """Show a body for ``POST /v1/jobs`` that gives the same result again."""
    return recipe(uow.jobs.get(job_id))


@router.get(
    "/{id}/loss.svg",
    operation_id="draw_job_loss",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}}, **failures(404)},
)
def draw_job_loss(job_id: Id, uow: Reading) -> Response:
    """Draw a job's loss on the text it learns from and on held-out text."""
    job = uow.jobs.get(job_id)
    curves: dict[str, list[tuple[int, float]]] = {name: [] for name in _DRAWN_METRICS}
    for point in uow.metrics.read(job_id, names=_DRAWN_METRICS, resolution=_DRAWN_POINTS):
        if point.value is not None:
            curves[point.name].append((point.step, point.value))
    picture = draw(curves, title=f"{job.name}: loss")
    return Response(picture, media_type="image/svg+xml", headers={"cache-control": "no-cache"})


@router.get(
    "/{id}/tensorboard",
    operation_id="get_job_event_file",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}, **failures(404)},
)
def get_job_event_file(job_id: Id, uow: Reading) -> Response:
    """Download a job's metrics and probes as an event file, for TensorBoard.

    `curl -OJ` keeps its name, by which `tensorboard --logdir` finds it.
    """
    job = uow.jobs.get(job_id)
    headers = {
        "cache-control": "no-cache",
        "content-disposition": f'attachment; filename="{event_file_name(job)}"',
    }
    content = event_file(uow, job)
    return Response(content, media_type="application/octet-stream", headers=headers)


def _page_of_events(
    service: Service, project_id: str, job_id: str, page: PageParams
) -> ListAnswer[EventObject]:
    with service.database.unit_of_work(project_id) as uow:
        uow.jobs.get(job_id)
        found = uow.events.page(job_id=job_id, limit=page.limit, after=page.after, order=page.order)
        return list_of([EventObject.of(row) for row in found.items], has_more=found.has_more)
