"""Files: what users uploaded, as an ordered list of pieces."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from db.base import Base
from db.tables.owned import Identified, WithMetadata


class File(Base, Identified, WithMetadata):
    """Immutable bytes under a name."""

    __tablename__ = "files"
    __table_args__ = (Index(None, "project_id", "id"), Index(None, "project_id", "sha256"))

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("file"))
    filename: Mapped[str]
    purpose: Mapped[str]
    status: Mapped[str] = mapped_column(default="processed")
    num_bytes: Mapped[int]
    sha256: Mapped[str]
    expires_at: Mapped[datetime | None] = mapped_column(default=None, index=True)


class FilePiece(Base):
    """One blob of a file: the whole of it, or one part of an upload in parts."""

    __tablename__ = "file_pieces"

    file_id: Mapped[str] = mapped_column(
        ForeignKey("files.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"), index=True)
