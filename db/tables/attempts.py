"""Attempts: one worker's tries at a piece of work."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import AttemptOutcome
from db.base import Base
from db.tables.owned import Identified


class Attempt(Base, Identified):
    """One try, numbered from 1 within its piece of work."""

    __tablename__ = "attempts"
    __table_args__ = (
        UniqueConstraint("work_id", "number"),
        Index(None, "project_id", "subject_id", "number"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("attempt"))
    work_id: Mapped[str] = mapped_column(ForeignKey("work.id", ondelete="CASCADE"))
    subject_id: Mapped[str]
    number: Mapped[int]
    fence: Mapped[int]
    owner: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    pid_started: Mapped[float]
    """In seconds after the boot: together with the boot id it tells a reused pid apart."""
    boot_id: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
    outcome: Mapped[AttemptOutcome | None] = mapped_column(default=None)
    exit_code: Mapped[int | None] = mapped_column(default=None)
    cause: Mapped[str | None] = mapped_column(default=None)
