"""Work: what a worker can claim, and who holds it until when."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import DesiredStatus, WorkKind
from db.base import Base
from db.tables.owned import Identified

_UNFINISHED = text("finished_at IS NULL")


class Work(Base, Identified):
    """Background work: a corpus to build, a piece of it, a tokenizer to train, a job to run."""

    __tablename__ = "work"
    __table_args__ = (
        UniqueConstraint("kind", "subject_id"),
        Index(
            "ix_work_claim",
            "queue",
            "priority",
            "id",
            sqlite_where=_UNFINISHED,
            postgresql_where=_UNFINISHED,
        ),
        Index(None, "waiting_for"),
        Index(None, "parent_id"),
        Index(None, "subject_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("work"))
    kind: Mapped[WorkKind]
    subject_id: Mapped[str]
    queue: Mapped[str]
    priority: Mapped[int] = mapped_column(default=0)
    parent_id: Mapped[str | None] = mapped_column(default=None)
    """Of a piece: what it is a part of."""
    waiting_for: Mapped[str | None] = mapped_column(default=None)
    """The corpus, tokenizer or dataset that must be ready first."""
    desired_status: Mapped[DesiredStatus] = mapped_column(default=DesiredStatus.RUNNING)
    owner: Mapped[str | None] = mapped_column(default=None)
    """Who holds the lease; None when nobody does."""
    fence: Mapped[int] = mapped_column(default=0)
    """Rises with every claim, so that the writes of an earlier owner can be told apart."""
    lease_until: Mapped[datetime | None] = mapped_column(default=None)
    num_attempts: Mapped[int] = mapped_column(default=0)
    num_fruitless: Mapped[int] = mapped_column(default=0)
    """Attempts in a row that committed nothing new."""
    max_attempts: Mapped[int] = mapped_column(default=3)
    """How many fruitless attempts in a row end the work as failed."""
    not_before: Mapped[datetime | None] = mapped_column(default=None)
    rung_at: Mapped[datetime | None] = mapped_column(default=None)
    """When workers were last told that this waits."""
    finished_at: Mapped[datetime | None] = mapped_column(default=None)
