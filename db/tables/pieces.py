"""Pieces: the parts of a corpus or a dataset that any worker can make."""

from __future__ import annotations

from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import PieceStage, ResourceStatus
from db.base import Base
from db.tables.owned import Identified


class Piece(Base, Identified):
    """One part, planned by whoever makes the whole, made by whoever claims its work."""

    __tablename__ = "pieces"
    __table_args__ = (UniqueConstraint("parent_id", "stage", "position"),)

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("piece"))
    parent_id: Mapped[str]
    """The corpus or the dataset that it was planned for."""
    stage: Mapped[PieceStage]
    position: Mapped[int]
    """Among the parent's pieces of this stage, from 0 on: the order of what they make."""
    task: Mapped[dict[str, Any]]
    """What is to be done: ids of files, or names of shards."""
    num_files: Mapped[int] = mapped_column(default=0)
    num_bytes: Mapped[int] = mapped_column(default=0)
    """How much there is to read."""
    status: Mapped[ResourceStatus] = mapped_column(default=ResourceStatus.QUEUED)
    files_done: Mapped[int] = mapped_column(default=0)
    records_done: Mapped[int] = mapped_column(default=0)
    bytes_done: Mapped[int] = mapped_column(default=0)
    prefix: Mapped[str | None] = mapped_column(default=None)
    """Where the store has what was made of it."""
    result: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    error: Mapped[dict[str, Any] | None] = mapped_column(default=None)
