"""Jobs as workers see them: begun and moved forward. Every write is fenced.

How an attempt at one ends is in ``services.job_outcomes``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from core.errors import BadData
from core.lifecycle import AttemptOutcome, JobStatus
from core.spec import JobSpec
from db.repositories.metrics import MetricPoint
from db.tables import Corpus, Job, Tokenizer
from db.unit_of_work import UnitOfWork
from services import attempts, datasets, job_needs, work
from services.attempts import Claim
from services.doorbell import Doorbell
from storage.base import Store

_ENDINGS: Final[Mapping[AttemptOutcome, str]] = {
    AttemptOutcome.COMPLETED: "was completed",
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.CANCELLED: "was cancelled",
    AttemptOutcome.PAUSED: "was paused",
    AttemptOutcome.PREEMPTED: "was asked to leave",
    AttemptOutcome.ABANDONED: "was cut off",
}

_DATASET_LOST: Final = "The encoded text was lost or damaged in the store; it is made again."
_ENERGY: Final = "system/energy_joules"


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
    job_needs.set_length(job, spec_of(job), num_steps)
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
    waiting_for = job_needs.missing_dataset(uow, corpora, tokenizer, doorbell=doorbell)
    task = attempts.give_back(
        uow,
        claim,
        cause=f"{waiting_for or 'a dataset'} has to be made first",
        waiting_for=waiting_for,
    )
    job.status = JobStatus.QUEUED
    job.phase = None
    work.announce(uow, [task], doorbell=doorbell)


def remake_datasets(
    uow: UnitOfWork, claim: Claim, *, reason: str, store: Store, doorbell: Doorbell
) -> None:
    """The bytes of a job's datasets are lost or damaged: they are made again, and the job waits.

    Once: a store that loses them a second time would lose them for ever.

    Args:
        uow: The transaction.
        claim: Ours until now.
        reason: What was found.
        store: Where the bytes are, or were.
        doorbell: Rings for those who make them.

    Raises:
        BadData: that was done before (``dataset_damaged``).
    """
    uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    if _DATASET_LOST in job.warnings:
        raise BadData(
            f"The encoded text was lost again after it had been made anew: {reason}",
            code="dataset_damaged",
            param="corpus",
        )
    corpora = job_needs.corpora_of(uow, job)
    tokenizer = uow.tokenizers.get(job.tokenizer_id or "")
    for corpus in corpora:
        dataset = datasets.find(uow, corpus=corpus, tokenizer=tokenizer)
        if dataset is not None:
            datasets.delete(uow, dataset, store=store)
    warn(uow, job, code="dataset_lost", message=_DATASET_LOST, data={"reason": reason})
    wait_for_dataset(uow, claim, corpora=corpora, tokenizer=tokenizer, doorbell=doorbell)


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


def spec_of(job: Job) -> JobSpec:
    """The job's settled spec."""
    assert job.spec is not None  # its work cannot be claimed before
    return JobSpec.model_validate(job.spec, strict=False)


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


def _usage(usage: Mapping[str, Any], change: Advance, *, tokens: int) -> dict[str, Any]:
    return {
        "device_seconds": round(usage.get("device_seconds", 0.0) + change.device_seconds, 3),
        "tokens": usage.get("tokens", 0) + tokens,
        "flops": usage.get("flops", 0) + tokens * change.flops_per_token,
        **_energy(usage, change),
    }


def _energy(usage: Mapping[str, Any], change: Advance) -> dict[str, float]:
    """What the device has used over all attempts; nothing where none has ever told it."""
    told = [point.value for point in change.points if point.name == _ENERGY]
    if not told and "energy_joules" not in usage:
        return {}
    return {"energy_joules": round(usage.get("energy_joules", 0.0) + sum(told), 1)}
