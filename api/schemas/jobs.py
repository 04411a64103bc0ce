"""Jobs, their attempts and their metrics on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import Field

from api.schemas.base import Answer, Metadata, RequestBody
from core.clock import unix_seconds
from core.job_request import JobName
from core.lifecycle import JobStatus
from core.mixture import CorpusWeight
from db.tables import Attempt, Job, Metric


class JobChanges(RequestBody):
    """The body of ``PATCH /v1/jobs/{id}``: what is left out stays."""

    name: JobName | None = None
    metadata: Metadata | None = None
    priority: int | None = Field(default=None, ge=-100, le=100)


class JobProgress(Answer):
    """How far a job has come."""

    fraction: float = Field(ge=0, le=1)
    step: int
    num_steps: int | None
    tokens: int
    num_tokens: int | None
    tokens_per_second: float | None
    eta_seconds: float | None = Field(description="Until its budget is spent, while it runs")
    finish_at: int | None = Field(description="Unix seconds")

    @classmethod
    def of(cls, job: Job, *, now: datetime) -> Self:
        """The progress of a job at a moment."""
        fraction = _fraction(job, now=now)
        eta = _eta_seconds(job, fraction, now=now)
        return cls(
            fraction=fraction,
            step=job.step,
            num_steps=job.num_steps,
            tokens=job.tokens,
            num_tokens=job.num_tokens,
            tokens_per_second=job.tokens_per_second,
            eta_seconds=eta,
            finish_at=None if eta is None else int(now.timestamp() + eta),
        )


class QueueState(Answer):
    """Where a job waits, and what for."""

    position: int
    jobs_ahead: int
    start_at: int | None = None
    waiting_reason: str | None


class JobObject(Answer):
    """A job: a request for training, and how far it has come."""

    id: str = Field(examples=["job_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["job"] = "job"
    name: str
    status: Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
    phase: str | None
    status_reason: str | None
    stop_reason: str | None
    created_at: int = Field(description="Unix seconds")
    started_at: int | None
    finished_at: int | None
    corpus: str | list[CorpusWeight] = Field(description="Its id, or the corpora of a mixture")
    tokenizer: str | None
    spec: dict[str, Any] | None = Field(description="With every default decided")
    model: dict[str, Any] | None
    progress: JobProgress
    queue: QueueState | None = Field(description="Only while the job waits")
    metrics: dict[str, float | None] = Field(description="The latest value of each")
    best_checkpoint: str | None
    latest_checkpoint: str | None
    attempts: int = Field(description="How many")
    priority: int
    max_attempts: int
    execution: dict[str, Any] | None = Field(description="What it runs on, and how")
    warnings: list[Any]
    error: dict[str, Any] | None
    usage: dict[str, Any]
    metadata: dict[str, str]

    @classmethod
    def of(cls, job: Job, *, attempts: int, queue: QueueState | None, now: datetime) -> Self:
        """The job as it is sent at a moment."""
        return cls(
            id=job.id,
            name=job.name,
            status=job.status.value,
            phase=job.phase,
            status_reason=job.status_reason,
            stop_reason=job.stop_reason,
            created_at=unix_seconds(job.created_at),
            started_at=_optional_seconds(job.started_at),
            finished_at=_optional_seconds(job.finished_at),
            corpus=job.request["corpus"],
            tokenizer=job.tokenizer_id,
            spec=job.spec,
            model=job.model,
            progress=JobProgress.of(job, now=now),
            queue=queue,
            metrics=job.metrics,
            best_checkpoint=job.best_checkpoint_id,
            latest_checkpoint=job.latest_checkpoint_id,
            attempts=attempts,
            priority=job.priority,
            max_attempts=job.max_attempts,
            execution=job.execution,
            warnings=job.warnings,
            error=job.error,
            usage={"device_seconds": 0.0, "tokens": job.tokens, "flops": 0, **job.usage},
            metadata=job.metadata_,
        )


class AttemptObject(Answer):
    """One worker's try at a job."""

    id: str
    object: Literal["attempt"] = "attempt"
    job: str
    number: int
    created_at: int = Field(description="Unix seconds")
    started_at: int
    finished_at: int | None
    outcome: str | None = Field(description="null while it goes on")
    exit_code: int | None
    cause: str | None
    host: str
    pid: int

    @classmethod
    def of(cls, attempt: Attempt) -> Self:
        """The attempt as it is sent."""
        return cls(
            id=attempt.id,
            job=attempt.subject_id,
            number=attempt.number,
            created_at=unix_seconds(attempt.created_at),
            started_at=unix_seconds(attempt.started_at),
            finished_at=_optional_seconds(attempt.finished_at),
            outcome=attempt.outcome.value if attempt.outcome else None,
            exit_code=attempt.exit_code,
            cause=attempt.cause,
            host=attempt.host,
            pid=attempt.pid,
        )


class MetricObject(Answer):
    """A value after so many steps and tokens."""

    step: int
    tokens: int
    name: str
    value: float | None = Field(description="null where it was no finite number")
    created_at: int = Field(description="Unix seconds")

    @classmethod
    def of(cls, metric: Metric) -> Self:
        """The point as it is sent."""
        return cls(
            step=metric.step,
            tokens=metric.tokens,
            name=metric.name,
            value=metric.value,
            created_at=unix_seconds(metric.created_at),
        )


def _optional_seconds(moment: datetime | None) -> int | None:
    return None if moment is None else unix_seconds(moment)


def _fraction(job: Job, *, now: datetime) -> float:
    """The share of the budget that is spent: of whichever limit is nearer."""
    if job.status is JobStatus.SUCCEEDED:
        return 1.0
    shares = [job.step / job.num_steps] if job.num_steps else []
    if job.num_tokens:
        shares.append(job.tokens / job.num_tokens)
    spec = job.spec or {}
    seconds = (spec.get("budget") or {}).get("seconds")
    if seconds:
        num_devices = (spec.get("resources") or {}).get("devices", 1)
        on_devices = job.usage.get("device_seconds", 0.0) / num_devices
        spent = on_devices or _seconds_since(job.started_at, now=now)
        shares.append(spent / seconds)
    return min(1.0, max(shares, default=0.0))


def _eta_seconds(job: Job, fraction: float, *, now: datetime) -> float | None:
    if job.status is not JobStatus.RUNNING:
        return None
    if job.num_tokens and job.tokens_per_second:
        return round(max(0, job.num_tokens - job.tokens) / job.tokens_per_second, 1)
    elapsed = _seconds_since(job.started_at, now=now)
    return round(elapsed * (1 - fraction) / fraction, 1) if fraction and elapsed else None


def _seconds_since(moment: datetime | None, *, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment.astimezone(UTC)).total_seconds())
