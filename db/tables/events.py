"""Events: what happened, numbered in the order of commits."""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Index, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, StorableText
from db.tables.owned import Owned

EventLevel = Literal["info", "warn", "error"]


class Event(Base, Owned):
    """Something that happened to a project's things. Made by ``UnitOfWork.record_event`` alone."""

    __tablename__ = "events"
    __table_args__ = (
        PrimaryKeyConstraint("project_id", "number"),
        Index(None, "project_id", "job_id", "number"),
        Index(None, "id"),
    )

    number: Mapped[int] = mapped_column(init=False)
    id: Mapped[str] = mapped_column(init=False)
    job_id: Mapped[str | None]
    type: Mapped[str]
    level: Mapped[EventLevel] = mapped_column(StorableText())
    message: Mapped[str]
    data: Mapped[dict[str, Any]]
