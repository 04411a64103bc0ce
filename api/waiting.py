"""``?wait=``: an answer that comes when a job's status changes, without holding a thread."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.concurrency import run_in_threadpool

from api.deps import Service
from api.schemas.jobs import JobObject
from api.views import job_view
from core.lifecycle import JobStatus

MAX_WAIT_SECONDS: Final = 300
_LONGEST_GAP: Final = 2.0
"""Seconds after which the job is read again even without an event."""


@dataclass(frozen=True, slots=True)
class _Reading:
    job: JobObject
    counter: int


async def job_after(
    service: Service,
    project_id: str,
    job_id: str,
    *,
    wait_seconds: float,
    after_status: str | None,
) -> JobObject:
    """The job once its status is another than ``after_status``, or when the time is over.

    Args:
        service: The running service.
        project_id: Whose job.
        job_id: Which job.
        wait_seconds: The longest wait; 0 answers at once.
        after_status: The status that the client knows; None means the present one.

    Raises:
        NotFound: there is no such job.
    """

    def read() -> _Reading:
        with service.database.unit_of_work(project_id) as uow:
            counter = uow.events.latest_number()
            return _Reading(job_view(uow, uow.jobs.get(job_id)), counter)

    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_seconds
    reading = await run_in_threadpool(read)
    known = after_status or reading.job.status
    while reading.job.status == known and not JobStatus(reading.job.status).is_final:
        left = deadline - clock()
        if left <= 0 or service.watch.is_closing:
            break
        await service.watch.wait(
            project_id, after=reading.counter, timeout_seconds=min(left, _LONGEST_GAP)
        )
        reading = await run_in_threadpool(read)
    return reading.job
