"""How a worker's attempt at a job ends, and what becomes of the job. Every write is fenced."""

from __future__ import annotations

from typing import Final

from core.lifecycle import AttemptOutcome, DesiredStatus, ExitCode, JobStatus
from core.sizing import largest_divisor
from db.tables import Job, Work
from db.unit_of_work import UnitOfWork
from services import attempts, checkpoints, job_endings, job_runs, work
from services.attempts import Claim
from services.doorbell import Doorbell
from storage.base import Store

_DISK_IS_FULL: Final = "the disk is full"


def succeed(uow: UnitOfWork, claim: Claim, *, stop_reason: str | None = None) -> None:
    """The job has its result, and the last checkpoint is committed.

    Args:
        uow: The transaction.
        claim: Ours until now.
        stop_reason: What ended it before its budget was spent, if anything.
    """
    attempts.complete(uow, claim)
    job = uow.jobs.get(claim.subject_id, lock=True)
    job_endings.end_succeeded(uow, job, stop_reason=stop_reason)


def fail(
    uow: UnitOfWork,
    claim: Claim,
    *,
    code: str,
    message: str,
    param: str | None = None,
    exit_code: int | None = None,
) -> None:
    """Trying again cannot help."""
    attempts.fail(uow, claim, cause=message, exit_code=exit_code)
    job = uow.jobs.get(claim.subject_id, lock=True)
    job_endings.end_failed(uow, job, code=code, message=message, param=param)


def halve_micro_batch(
    uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell, exit_code: int | None
) -> None:
    """Out of device memory: from now on half as many sequences at a time, as many a step.

    With one sequence at a time there is nothing left to halve, and the job fails.
    """
    task = uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    if task.desired_status is DesiredStatus.CANCELLED:
        leave(uow, claim, doorbell=doorbell, exit_code=exit_code)
        return
    spec = job_runs.spec_of(job)
    execution = job.execution or {}
    before = int(execution.get("micro_batch", 1))
    if before == 1:
        message = (
            f"The device does not have enough memory for a single sequence of "
            f"{spec.model.context_length} tokens at a time; a smaller model or a shorter "
            "model.context_length needs less."
        )
        fail(uow, claim, code="out_of_memory", message=message, param="model", exit_code=exit_code)
        return
    half = largest_divisor(spec.sequences_per_step, limit=before // 2)
    job.execution = {**execution, "micro_batch": half}
    reason = f"the device ran out of memory with {before} sequences at a time; from now on {half}"
    job_runs.warn(
        uow,
        job,
        code="micro_batch_halved",
        message=f"{reason[0].upper()}{reason[1:]}, and still {spec.batch_tokens} tokens a step.",
        data={"micro_batch_before": before, "micro_batch": half},
    )
    if task.desired_status is DesiredStatus.PAUSED:
        leave(uow, claim, doorbell=doorbell, exit_code=exit_code)
        return
    attempts.end(
        uow, claim, outcome=AttemptOutcome.FAILED, exit_code=exit_code, cause="out of device memory"
    )
    _queue_again(uow, job, task, reason=reason, doorbell=doorbell)


def make_room(uow: UnitOfWork, claim: Claim, *, store: Store, doorbell: Doorbell) -> None:
    """The disk is full: delete what the job can best do without and try once more.

    Where nothing can go, or that was tried and brought no new checkpoint, the job is paused until
    somebody makes room and resumes it.
    """
    task = uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    exit_code = ExitCode.DISK_FULL
    if task.desired_status is DesiredStatus.CANCELLED:
        leave(uow, claim, doorbell=doorbell, exit_code=exit_code)
        return
    attempts.end(
        uow, claim, outcome=AttemptOutcome.FAILED, exit_code=exit_code, cause=_DISK_IS_FULL
    )
    is_second_try = claim.previous_exit_code == exit_code and task.num_fruitless > 0
    gives_up = is_second_try or task.desired_status is DesiredStatus.PAUSED
    dropped = [] if gives_up else checkpoints.make_room(uow, job, store=store)
    if not dropped:
        job.desired_status = task.desired_status = DesiredStatus.PAUSED
        uow.work.release(claim.work_id, fence=claim.fence, num_fruitless=0)
        job_endings.end_paused(uow, job, reason=f"disk_full: {_DISK_IS_FULL}", code="disk_full")
        return
    steps = ", ".join(str(checkpoint.step) for checkpoint in dropped)
    job_runs.warn(
        uow,
        job,
        code="disk_full",
        message=f"The disk is full. Deleted to make room: the checkpoints of step {steps}.",
        data={"deleted_checkpoints": [checkpoint.id for checkpoint in dropped]},
    )
    _queue_again(uow, job, task, reason=f"will be tried again: {_DISK_IS_FULL}", doorbell=doorbell)


def leave(
    uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell, exit_code: int | None = None
) -> None:
    """The child stopped because it was asked to: cancelled, paused, or only this worker leaves."""
    task = uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    if task.desired_status is DesiredStatus.CANCELLED:
        uow.work.finish(claim.work_id, fence=claim.fence)
        attempts.end(uow, claim, outcome=AttemptOutcome.CANCELLED, exit_code=exit_code)
        job_endings.end_cancelled(uow, job)
    elif task.desired_status is DesiredStatus.PAUSED:
        attempts.forgive(task)
        uow.work.release(claim.work_id, fence=claim.fence)
        attempts.end(uow, claim, outcome=AttemptOutcome.PAUSED, exit_code=exit_code)
        job_endings.end_paused(uow, job)
    else:
        attempts.end(uow, claim, outcome=AttemptOutcome.PREEMPTED, exit_code=exit_code)
        _queue_again(uow, job, task, reason="its worker was asked to leave", doorbell=doorbell)


def settle_lost(uow: UnitOfWork, task: Work, *, cause: str, delay_after: int) -> None:
    """An attempt ended without a result: try again later, or give up, or fulfil a wish to stop.

    Args:
        uow: The transaction.
        task: The job's work, locked, still under the lost attempt's fence.
        cause: What is known about the end.
        delay_after: The number of fruitless attempts that the rest before the next follows.
    """
    job = uow.jobs.get(task.subject_id, lock=True)
    if task.desired_status is DesiredStatus.CANCELLED:
        uow.work.finish(task.id, fence=task.fence)
        job_endings.end_cancelled(uow, job)
    elif task.desired_status is DesiredStatus.PAUSED:
        uow.work.release(task.id, fence=task.fence)
        job_endings.end_paused(uow, job)
    elif attempts.rest(uow, task, delay_after=delay_after):
        job.status = JobStatus.QUEUED
        job.phase = None
        job.status_reason = f"will be tried again: {cause}"
    else:
        message = attempts.exhausted(task, cause=cause, without="a new checkpoint")
        job_endings.end_failed(uow, job, code="too_many_attempts", message=message)


def _queue_again(uow: UnitOfWork, job: Job, task: Work, *, reason: str, doorbell: Doorbell) -> None:
    """Anybody may go on with it at once, and the attempt that ends here does not count."""
    attempts.forgive(task)
    uow.work.release(task.id, fence=task.fence)
    job.status = JobStatus.QUEUED
    job.phase = None
    job.status_reason = reason
    work.announce(uow, [task], doorbell=doorbell)
