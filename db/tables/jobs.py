"""Jobs: the users' durable requests for training, and how far each has come."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import DesiredStatus, JobStatus
from db.base import Base
from db.tables.owned import Identified, WithMetadata


class Job(Base, Identified, WithMetadata):
    """A request for training. Who works on it stands in ``work``, not here."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "project_id", "id"),
        Index(None, "project_id", "status", "id"),
        Index(None, "project_id", "name"),
        Index(None, "tokenizer_id"),
        Index(None, "start_checkpoint_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("job"))
    name: Mapped[str]
    status: Mapped[JobStatus] = mapped_column(default=JobStatus.QUEUED)
    phase: Mapped[str | None] = mapped_column(default=None)
    status_reason: Mapped[str | None] = mapped_column(default=None)
    stop_reason: Mapped[str | None] = mapped_column(default=None)
    desired_status: Mapped[DesiredStatus] = mapped_column(default=DesiredStatus.RUNNING)
    tokenizer_id: Mapped[str | None] = mapped_column(default=None)
    start_checkpoint_id: Mapped[str | None] = mapped_column(default=None)
    """The checkpoint whose weights the model starts from; the id stays when that is deleted."""
    request: Mapped[dict[str, Any]]
    spec: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    """The resolved spec; None until the corpus and the tokenizer are known."""
    model: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    execution: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    warnings: Mapped[list[Any]] = mapped_column(default_factory=list)
    priority: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    step: Mapped[int] = mapped_column(default=0)
    num_steps: Mapped[int | None] = mapped_column(default=None)
    tokens: Mapped[int] = mapped_column(default=0)
    num_tokens: Mapped[int | None] = mapped_column(default=None)
    tokens_per_second: Mapped[float | None] = mapped_column(default=None)
    best_checkpoint_id: Mapped[str | None] = mapped_column(default=None)
    latest_checkpoint_id: Mapped[str | None] = mapped_column(default=None)
    metrics: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    """The latest value of each metric."""
    error: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    usage: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    started_at: Mapped[datetime | None] = mapped_column(default=None)
    finished_at: Mapped[datetime | None] = mapped_column(default=None)


class JobCorpus(Base):
    """A corpus that a job is trained on; the id stays when the corpus has been deleted."""

    __tablename__ = "job_corpora"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    corpus_id: Mapped[str] = mapped_column(index=True)
