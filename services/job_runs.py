"""Jobs as workers see them: begun, moved forward, ended. Every write is fenced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.lifecycle import AttemptOutcome, DesiredStatus, ExitCode, JobStatus, StopReason
from core.sizing import largest_divisor
from core.spec import JobSpec
from db.repositories.metrics import MetricPoint
from db.tables import Corpus, Job, Tokenizer, Work
from db.unit_of_work import UnitOfWork
from services import attempts, checkpoints, jobs, work
from services.attempts import Claim
from services.doorbell import Doorbell
from storage.base import Store

BUDGET_SPENT: Final = "budget"
_SUCCESSES: Final[Mapping[str, str]] = {
    BUDGET_SPENT: "has spent its budget",
    StopReason.EARLY_STOPPING: "has stopped learning and ended early",
}
_DISK_IS_FULL: Final = "the disk is full"
_ENDINGS: Final[Mapping[AttemptOutcome, str]] = {
    AttemptOutcome.COMPLETED: "was completed",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.CANCELLED: "was cancelled",
    AttemptOutcome.PAUSED: "was paused",
    AttemptOutcome.PREEMPTED: "was asked to leave",
    AttemptOutcome.ABANDONED: "was cut off",
}


@dataclass(frozen=True, slots=True)
class Probes:
    """What the model said to the fixed prompts and blanks at a step."""

    step: int
    continuations: Sequence[Mapping[str, Any]] = field(default=())
    fillings: Sequence[Mapping[str, Any]] = field(default=())


@dataclass(frozen=True, slots=True)
class Advance:
    """What has happened to a job since the last write."""

    phase: str | None = None
    step: int | None = None
    tokens: int | None = None
    points: Sequence[MetricPoint] = ()
    probes: Sequence[Probes] = ()
    device_seconds: float = 0.0
    """Time on the device since the last write."""
    flops_per_token: int = 0


def start(uow: UnitOfWork, claim: Claim) -> Job:
    """The attempt begins, from the latest checkpoint or from nothing."""
    uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    job.status = JobStatus.RUNNING
    job.phase = "preparing"
    job.status_reason = None
    job.error = None
    latest = uow.checkpoints.find_latest(job.id)
    step = job.step = 0 if latest is None else latest.step
    job.tokens = 0 if latest is None else latest.tokens
    job.started_at = job.started_at or uow.now()
    data = {"attempt": claim.number, "step": step, "after": claim.previous_outcome}
    if claim.previous_outcome is None:
        uow.record_event(
            "job.started", message=f"Job {job.name!r} has begun.", job_id=job.id, data=data
        )
    elif claim.previous_outcome is not AttemptOutcome.PAUSED:
        uow.record_event(
            "job.recovered",
            message=f"Job {job.name!r} goes on from step {step}; the attempt before this one "
            f"{_ENDINGS[claim.previous_outcome]}.",
            job_id=job.id,
            data=data,
        )
    return job


def plan(
    uow: UnitOfWork, claim: Claim, *, num_steps: int | None, execution: Mapping[str, Any]
) -> None:
    """The engine knows how long the job is and how it runs on this machine."""
    uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    jobs.set_length(job, spec_of(job), num_steps)
    job.execution = dict(execution)


def wait_for_dataset(
    uow: UnitOfWork,
    claim: Claim,
    *,
    corpora: Sequence[Corpus],
    tokenizer: Tokenizer,
    doorbell: Doorbell,
) -> None:
    """A dataset has gone since the job last had it: it is made again, and the job waits."""
    uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    waiting_for = jobs.missing_dataset(uow, corpora, tokenizer, doorbell=doorbell)
    task = attempts.give_back(
        uow,
        claim,
        cause=f"{waiting_for or 'a dataset'} has to be made first",
        waiting_for=waiting_for,
    )
    job.status = JobStatus.QUEUED
    job.phase = None
    work.announce(uow, [task], doorbell=doorbell)


def advance(uow: UnitOfWork, claim: Claim, change: Advance) -> Job:
    """Write metrics, probes and progress; a step that is done again replaces its own."""
    uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    if change.phase is not None:
        job.phase = change.phase
    latest = {point.name: point.value for point in change.points}
    if latest:
        uow.metrics.record(job.id, change.points)
        job.metrics = {**job.metrics, **latest}
        job.tokens_per_second = latest.get("throughput/tokens_per_second", job.tokens_per_second)
    for probe in change.probes:
        uow.probes.record(
            job.id, step=probe.step, continuations=probe.continuations, fillings=probe.fillings
        )
    if change.step is not None and change.tokens is not None:
        done = max(0, change.tokens - job.tokens)
        job.step, job.tokens = change.step, change.tokens
        job.usage = _usage(job.usage, change, tokens=done)
    elif change.device_seconds:
        job.usage = _usage(job.usage, change, tokens=0)
    return job


def announce_progress(uow: UnitOfWork, job: Job, *, probes: Sequence[Probes] = ()) -> None:
    """Tell whoever listens how far the job is."""
    data = _progress(job)
    if probes:
        data["probes"] = [
            {
                "step": probe.step,
                "continuations": list(probe.continuations),
                "fillings": list(probe.fillings),
            }
            for probe in probes
        ]
    of_all = "" if job.num_steps is None else f" of {job.num_steps}"
    uow.record_event("job.progress", message=f"Step {job.step}{of_all}", job_id=job.id, data=data)


def warn(uow: UnitOfWork, job: Job, *, code: str, message: str, data: Mapping[str, Any]) -> None:
    """Something that the user should know; it stays with the job."""
    if message not in job.warnings:
        job.warnings = [*job.warnings, message]
    uow.record_event(
        "job.progress",
        message=message,
        level="warn",
        job_id=job.id,
        data={**_progress(job), "notice": {"code": code, **data}},
    )


def _progress(job: Job) -> dict[str, Any]:
    """What every event of type ``job.progress`` says."""
    return {
        "step": job.step,
        "num_steps": job.num_steps,
        "tokens": job.tokens,
        "tokens_per_second": job.tokens_per_second,
        "phase": job.phase,
        "metrics": job.metrics,
    }


def succeed(uow: UnitOfWork, claim: Claim, *, stop_reason: str = BUDGET_SPENT) -> None:
    """The job has its result, and the last checkpoint is committed. The event is the job's last."""
    uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    job.status = JobStatus.SUCCEEDED
    job.stop_reason = stop_reason
    job.phase = None
    job.status_reason = None
    job.finished_at = uow.now()
    attempts.complete(uow, claim)
    uow.record_event(
        "job.succeeded",
        message=f"Job {job.name!r} {_SUCCESSES[stop_reason]} after {job.step} steps.",
        job_id=job.id,
        data={
            "stop_reason": stop_reason,
            "step": job.step,
            "tokens": job.tokens,
            "metrics": job.metrics,
            "checkpoint": job.latest_checkpoint_id,
            "best_checkpoint": job.best_checkpoint_id,
        },
    )


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
    jobs.end_failed(uow, job, code=code, message=message, param=param)


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
    spec = spec_of(job)
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
    warn(
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
        jobs.end_paused(uow, job, reason=f"disk_full: {_DISK_IS_FULL}", code="disk_full")
        return
    steps = ", ".join(str(checkpoint.step) for checkpoint in dropped)
    warn(
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
        jobs.end_cancelled(uow, job)
    elif task.desired_status is DesiredStatus.PAUSED:
        attempts.forgive(task)
        uow.work.release(claim.work_id, fence=claim.fence)
        attempts.end(uow, claim, outcome=AttemptOutcome.PAUSED, exit_code=exit_code)
        jobs.end_paused(uow, job, reason="paused by the user")
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
        jobs.end_cancelled(uow, job)
    elif task.desired_status is DesiredStatus.PAUSED:
        uow.work.release(task.id, fence=task.fence)
        jobs.end_paused(uow, job, reason="paused by the user")
    elif attempts.rest(uow, task, delay_after=delay_after):
        job.status = JobStatus.QUEUED
        job.phase = None
        job.status_reason = f"will be tried again: {cause}"
    else:
        message = attempts.exhausted(task, cause=cause, without="a new checkpoint")
        jobs.end_failed(uow, job, code="too_many_attempts", message=message)


def spec_of(job: Job) -> JobSpec:
    """The job's settled spec."""
    assert job.spec is not None  # its work cannot be claimed before
    return JobSpec.model_validate(job.spec, strict=False)


def _queue_again(uow: UnitOfWork, job: Job, task: Work, *, reason: str, doorbell: Doorbell) -> None:
    """Anybody may go on with it at once, and the attempt that ends here does not count."""
    attempts.forgive(task)
    uow.work.release(task.id, fence=task.fence)
    job.status = JobStatus.QUEUED
    job.phase = None
    job.status_reason = reason
    work.announce(uow, [task], doorbell=doorbell)


def _usage(usage: Mapping[str, Any], change: Advance, *, tokens: int) -> dict[str, Any]:
    return {
        "device_seconds": round(usage.get("device_seconds", 0.0) + change.device_seconds, 3),
        "tokens": usage.get("tokens", 0) + tokens,
        "flops": usage.get("flops", 0) + tokens * change.flops_per_token,
    }
