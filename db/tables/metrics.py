"""Metrics: values at steps."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class Metric(Base):
    """A value at a step; a step that is done again replaces it."""

    __tablename__ = "metrics"

    # The order of the key is the order of reading: one name of one job, step by step.
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    tokens: Mapped[int]
    value: Mapped[float | None]
    """None where it was no finite number."""
    created_at: Mapped[datetime]
