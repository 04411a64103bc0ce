"""Probes: what a model said to its job's fixed prompts and blanks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from db.base import Base
from db.tables.owned import Identified


class Probe(Base, Identified):
    """What was said at one evaluation; an evaluation that is done again replaces it."""

    __tablename__ = "probes"
    __table_args__ = (
        UniqueConstraint("job_id", "step"),
        Index(None, "project_id", "job_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("probe"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    step: Mapped[int]
    continuations: Mapped[list[Any]]
    """``{"prompt", "text"}`` each."""
    fillings: Mapped[list[Any]]
    """``{"blank", "text", "candidates"}`` each."""
