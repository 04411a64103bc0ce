"""Checkpoints: whole states of a job at a step."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import CheckpointStatus
from db.base import Base
from db.tables.owned import Identified

_IS_UNNEEDED = text("unneeded_since IS NOT NULL")


class Checkpoint(Base, Identified):
    """A checkpoint whose manifest is in the store, or one that is made of uploaded files."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        UniqueConstraint("job_id", "step", "fence"),
        Index(None, "project_id", "id"),
        Index(None, "project_id", "job_id", "step"),
        Index(None, "unneeded_since", sqlite_where=_IS_UNNEEDED, postgresql_where=_IS_UNNEEDED),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("ckpt"))
    job_id: Mapped[str | None] = mapped_column(default=None, index=True)
    """None for an uploaded one. No key: a job may be deleted and its checkpoints kept."""
    step: Mapped[int] = mapped_column(default=0)
    tokens: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    prefix: Mapped[str] = mapped_column(default="")
    """Where its bytes are; empty as long as there are none."""
    status: Mapped[CheckpointStatus] = mapped_column(default=CheckpointStatus.COMPLETE)
    metrics: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    num_bytes: Mapped[int] = mapped_column(default=0)
    manifest_sha256: Mapped[str] = mapped_column(default="")
    model: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    """The model's shape."""
    tokenizer_id: Mapped[str | None] = mapped_column(default=None)
    """The id stays when the tokenizer has been deleted."""
    tokenizer_sha256: Mapped[str | None] = mapped_column(default=None)
    source: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    """The uploaded files that it is made of: ``{"files": [ids]}`` or ``{"archive": id}``."""
    error: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    pinned: Mapped[bool] = mapped_column(default=False)
    unneeded_since: Mapped[datetime | None] = mapped_column(default=None)
    """When it fell out of those that its job keeps; it waits to be pruned."""


class CheckpointFile(Base):
    """A file in a checkpoint's folder."""

    __tablename__ = "checkpoint_files"

    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoints.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    num_bytes: Mapped[int]
    sha256: Mapped[str]
