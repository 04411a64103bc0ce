"""How a job ends, or comes off its device until it is resumed, whoever has it do so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.errors import Conflict, PretrainerError
from core.lifecycle import JobStatus, StopReason
from db.tables import Job, Work
from db.unit_of_work import UnitOfWork

_BUDGET_SPENT: Final = "budget"
_SUCCESSES: Final[Mapping[str, str]] = {
    _BUDGET_SPENT: "has spent its budget",
    StopReason.EARLY_STOPPING: "has stopped learning and ended early",
}
_PARTICIPLES: Final[Mapping[JobStatus, str]] = {
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "been cancelled",
}
"""How a job that has ended is spoken of."""


def refuse_if_finished(job: Job, *, param: str | None = None) -> None:
    """A job that has ended never changes again.

    Raises:
        Conflict: it has ended (``job_already_finished``); ``param`` names the field that asked.
    """
    if job.status.is_final:
        raise Conflict(
            f"Job {job.id!r} has already {_PARTICIPLES[job.status]}.",
            code="job_already_finished",
            param=param,
        )


def fail_unowned(uow: UnitOfWork, job: Job, task: Work, error: PretrainerError) -> None:
    """Fail a job that nobody works on."""
    if uow.work.finish_unowned(task.id):
        end_failed(uow, job, code=error.error_code, message=error.message, param=error.param)


def end_succeeded(uow: UnitOfWork, job: Job, *, stop_reason: str | None) -> None:
    """The job has its result, by its whole budget if there is no other reason.

    The event is its last.
    """
    _end(uow, job, JobStatus.SUCCEEDED)
    job.stop_reason = stop_reason or _BUDGET_SPENT
    uow.record_event(
        "job.succeeded",
        message=f"Job {job.name!r} {_SUCCESSES[job.stop_reason]} after {job.step} steps.",
        job_id=job.id,
        data={
            "stop_reason": job.stop_reason,
            "step": job.step,
            "tokens": job.tokens,
            "metrics": job.metrics,
            "checkpoint": job.latest_checkpoint_id,
            "best_checkpoint": job.best_checkpoint_id,
        },
    )


def end_failed(
    uow: UnitOfWork, job: Job, *, code: str, message: str, param: str | None = None
) -> None:
    """The job will not be tried again."""
    _end(uow, job, JobStatus.FAILED)
    job.error = {"code": code, "message": message, "param": param}
    uow.record_event(
        "job.failed", message=message, level="error", job_id=job.id, data={"error": job.error}
    )


def end_cancelled(uow: UnitOfWork, job: Job) -> None:
    """The user's wish has been fulfilled; the job's checkpoints stay."""
    _end(uow, job, JobStatus.CANCELLED)
    uow.record_event(
        "job.cancelled",
        message=f"Job {job.name!r} is cancelled at step {job.step}.",
        job_id=job.id,
        data={"step": job.step},
    )


def end_paused(
    uow: UnitOfWork, job: Job, *, reason: str = "paused by the user", code: str | None = None
) -> None:
    """The job is off its device until someone resumes it."""
    job.status = JobStatus.PAUSED
    job.phase = None
    job.status_reason = reason
    uow.record_event(
        "job.paused",
        message=f"Job {job.name!r} is paused at step {job.step}: {reason}.",
        level="info" if code is None else "warn",
        job_id=job.id,
        data={"step": job.step, "code": code},
    )


def _end(uow: UnitOfWork, job: Job, status: JobStatus) -> None:
    job.status = status
    job.phase = None
    job.status_reason = None
    job.finished_at = uow.now()
