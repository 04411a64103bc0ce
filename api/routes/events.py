"""``/v1/events``: everything that happened in the project."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from starlette.concurrency import run_in_threadpool

from api.deps import Page, PageParams, ProjectId, Service, ServiceDep
from api.documentation import failures
from api.guarded_route import GuardedRoute
from api.schemas.base import ListAnswer, list_of
from api.schemas.events import EventObject
from api.streams import EventStream, wants_stream

router = APIRouter(prefix="/v1/events", tags=["events"], route_class=GuardedRoute)


@router.get(
    "",
    operation_id="list_events",
    response_model=ListAnswer[EventObject],
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
        **failures(422),
    },
)
async def list_events(
    *,
    service: ServiceDep,
    project_id: ProjectId,
    page: Page,
    type: Annotated[  # noqa: A002 - the name on the wire
        list[str] | None, Query(description="Only events of these types")
    ] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
    last_event_id: Annotated[str | None, Header(description="Go on after this event")] = None,
) -> ListAnswer[EventObject] | Response:
    """List the project's events; with ``Accept: text/event-stream``, as they happen."""
    if wants_stream(accept):
        return await EventStream(service, project_id).respond(last_event_id)
    return await run_in_threadpool(_page, service, project_id, page, type or [])


def _page(
    service: Service, project_id: str, page: PageParams, types: list[str]
) -> ListAnswer[EventObject]:
    with service.database.unit_of_work(project_id) as uow:
        found = uow.events.page(limit=page.limit, after=page.after, order=page.order, types=types)
        return list_of([EventObject.of(row) for row in found.items], has_more=found.has_more)
