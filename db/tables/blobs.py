"""Blobs: stored bytes that files refer to."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from db.base import Base
from db.tables.owned import Identified


class Blob(Base, Identified):
    """Bytes in the store; shared by every file of the project that has the same digest."""

    __tablename__ = "blobs"
    __table_args__ = (Index(None, "project_id", "sha256"),)

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("blob"))
    key: Mapped[str] = mapped_column(unique=True)
    num_bytes: Mapped[int]
    sha256: Mapped[str]
