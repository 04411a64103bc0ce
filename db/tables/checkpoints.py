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
    """A checkpoint whose manifest is in the store."""

    __tablename__ = "checkpoints"
    __table_args__ = (
        UniqueConstraint("job_id", "step", "fence"),
        Index(None, "project_id", "id"),
        Index(None, "project_id", "job_id", "step"),
        Index(None, "unneeded_since", sqlite_where=_IS_UNNEEDED, postgresql_where=_IS_UNNEEDED),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("ckpt"))
    job_id: Mapped[str] = mapped_column(index=True)
    """No key: a job may be deleted and its checkpoints kept."""
    step: Mapped[int]
    tokens: Mapped[int]
    fence: Mapped[int]
    prefix: Mapped[str]
    status: Mapped[CheckpointStatus] = mapped_column(default=CheckpointStatus.COMPLETE)
    metrics: Mapped[dict[str, Any]] = mapped_column(default_factory=dict)
    num_bytes: Mapped[int]
    manifest_sha256: Mapped[str]
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
