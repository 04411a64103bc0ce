"""What users may change in a job that exists: its name, its turn, and whether it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.errors import Conflict
from core.lifecycle import DesiredStatus, JobStatus
from db.tables import Job, Work
from db.unit_of_work import UnitOfWork
from services import attempts, job_endings, work
from services.doorbell import Doorbell

_WISHES: Final = {
    DesiredStatus.CANCELLED: "is being cancelled",
    DesiredStatus.PAUSED: "is being paused",
}
"""What a running job says until its worker has heard of the wish."""


def change(
    uow: UnitOfWork,
    job_id: str,
    *,
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
    priority: int | None = None,
) -> Job:
    """Change what is given and leave the rest.

    Raises:
        NotFound: there is no such job.
        Conflict: the job has ended, so its priority means nothing any more.
    """
    task = uow.work.find_for(job_id, lock=True)
    job = uow.jobs.get(job_id, lock=True)
    if priority is not None:
        job_endings.refuse_if_finished(job, param="priority")
        job.priority = priority
        if task is not None:
            task.priority = priority
    if name is not None:
        job.name = name
    if metadata is not None:
        job.metadata_ = dict(metadata)
    return job


def cancel(uow: UnitOfWork, job_id: str) -> Job:
    """Stop a job for good: at once if nobody works on it, else as soon as the worker hears of it.

    Cancelling once more changes nothing.

    Raises:
        NotFound: there is no such job.
        Conflict: it has ended already (``job_already_finished``).
    """
    job, task = _lock(uow, job_id)
    if job.status is JobStatus.CANCELLED:
        return job
    job_endings.refuse_if_finished(job)
    _wish(uow, job, task, DesiredStatus.CANCELLED)
    if uow.work.finish_unowned(task.id):
        attempts.close_abandoned(uow, job.id, cause="the job was cancelled")
        job_endings.end_cancelled(uow, job)
    return job


def pause(uow: UnitOfWork, job_id: str) -> Job:
    """Take a job off its device, saved, until someone resumes it.

    Pausing once more changes nothing.

    Raises:
        NotFound: there is no such job.
        Conflict: it has ended already (``job_already_finished``) or is being cancelled
            (``job_is_cancelling``).
    """
    job, task = _lock(uow, job_id)
    job_endings.refuse_if_finished(job)
    _refuse_if_cancelling(job)
    _wish(uow, job, task, DesiredStatus.PAUSED)
    if job.status is JobStatus.QUEUED:
        job_endings.end_paused(uow, job)
    return job


def resume(uow: UnitOfWork, job_id: str, *, doorbell: Doorbell) -> Job:
    """Queue a paused job again.

    Raises:
        NotFound: there is no such job.
        Conflict: it has ended (``job_already_finished``), is being cancelled
            (``job_is_cancelling``) or is not paused (``job_not_paused``).
    """
    job, task = _lock(uow, job_id)
    job_endings.refuse_if_finished(job)
    _refuse_if_cancelling(job)
    if job.desired_status is not DesiredStatus.PAUSED and job.status is not JobStatus.PAUSED:
        raise Conflict(f"Job {job_id!r} is {job.status}, not paused.", code="job_not_paused")
    _wish(uow, job, task, DesiredStatus.RUNNING)
    if job.status is JobStatus.PAUSED:
        job.status = JobStatus.QUEUED
        job.status_reason = None
        task.num_fruitless = 0
        task.not_before = None
        uow.record_event("job.resumed", message=f"Job {job.name!r} is queued again.", job_id=job.id)
        work.announce(uow, [task], doorbell=doorbell)
    return job


def _lock(uow: UnitOfWork, job_id: str) -> tuple[Job, Work]:
    task = uow.work.find_for(job_id, lock=True)
    job = uow.jobs.get(job_id, lock=True)
    assert task is not None  # made and deleted together with its job
    return job, task


def _refuse_if_cancelling(job: Job) -> None:
    if job.desired_status is DesiredStatus.CANCELLED:
        raise Conflict(f"Job {job.id!r} is being cancelled.", code="job_is_cancelling")


def _wish(uow: UnitOfWork, job: Job, task: Work, desired: DesiredStatus) -> None:
    job.desired_status = desired
    if job.status is JobStatus.RUNNING:
        job.status_reason = _WISHES.get(desired)
    uow.work.set_desired(task.id, desired)
