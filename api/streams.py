"""Live events as server-sent events (the HTML standard, section 9.2), resumable and complete."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from api.deps import Service
from api.schemas.events import EventObject
from core.lifecycle import JobStatus
from db.repositories.events import event_number
from db.unit_of_work import UnitOfWork

MAX_STREAMS: Final = 500
KEEP_ALIVE_SECONDS: Final = 15.0
MEDIA_TYPE: Final = "text/event-stream"
_BATCH: Final = 200
_FINAL_TYPES: Final = tuple(f"job.{status.value}" for status in JobStatus if status.is_final)
_HEADERS: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@dataclass(frozen=True, slots=True)
class _News:
    """New events, and how many the project had when they were read."""

    events: list[tuple[int, EventObject]]
    counter: int


@dataclass(frozen=True, slots=True)
class EventStream:
    """The events of a project, or of one of its jobs, from some point on."""

    service: Service
    project_id: str
    job_id: str | None = None
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS

    async def respond(self, last_event_id: str | None) -> Response:
        """The stream after ``last_event_id``, or 204 where nothing can follow.

        Raises:
            NotFound: there is no such job.
            HTTPException: too many clients listen already.
        """
        begin = event_number(last_event_id or "") or 0
        if await run_in_threadpool(self._is_over, begin):
            return Response(status_code=204)
        if self.service.watch.num_listeners >= MAX_STREAMS:
            raise HTTPException(
                429, f"{MAX_STREAMS} streams are open already.", headers={"retry-after": "5"}
            )
        return StreamingResponse(self._frames(begin), media_type=MEDIA_TYPE, headers=_HEADERS)

    async def _frames(self, seen: int) -> AsyncIterator[str]:
        with self.service.watch.listening():
            yield ": the stream begins\n\n"
            while True:
                news = await run_in_threadpool(self._read, seen)
                for number, event in news.events:
                    seen = number
                    yield _frame(event)
                    if self.job_id is not None and event.type in _FINAL_TYPES:
                        return
                if len(news.events) == _BATCH:
                    continue
                has_news = await self.service.watch.wait(
                    self.project_id, after=news.counter, timeout_seconds=self.keep_alive_seconds
                )
                if self.service.watch.is_closing:
                    return
                if not has_news:
                    yield ": still here\n\n"

    def _unit_of_work(self) -> UnitOfWork:
        return self.service.database.unit_of_work(self.project_id)

    def _is_over(self, begin: int) -> bool:
        """Whether the event of the job's end is at or before ``begin``."""
        if self.job_id is None:
            return False
        with self._unit_of_work() as uow:
            uow.jobs.get(self.job_id)
            ends = uow.events.page(job_id=self.job_id, types=_FINAL_TYPES, limit=1)
            return bool(ends.items) and ends.items[0].number <= begin

    def _read(self, seen: int) -> _News:
        with self._unit_of_work() as uow:
            # The counter first: what is committed in between is then read again, never missed.
            counter = uow.events.latest_number()
            rows = uow.events.read_after(seen, job_id=self.job_id, limit=_BATCH)
            return _News([(row.number, EventObject.of(row)) for row in rows], counter)


def wants_stream(accept: str | None) -> bool:
    """Whether a client asks for a stream rather than a list."""
    return MEDIA_TYPE in (accept or "")


def _frame(event: EventObject) -> str:
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
