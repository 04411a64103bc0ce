"""Uploads in parts: bytes that arrive in pieces, in any order, and become one file."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import UploadStatus
from db.base import Base
from db.tables.owned import Identified

_PENDING = text("status = 'pending'")


class Upload(Base, Identified):
    """A file that is announced, and not whole yet."""

    __tablename__ = "uploads"
    __table_args__ = (
        Index(None, "project_id", "id"),
        Index(
            "ix_uploads_pending",
            "expires_at",
            sqlite_where=_PENDING,
            postgresql_where=_PENDING,
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("upload"))
    filename: Mapped[str]
    purpose: Mapped[str]
    mime_type: Mapped[str]
    num_bytes: Mapped[int]
    """Announced; the parts together have exactly so many in the end."""
    status: Mapped[UploadStatus] = mapped_column(default=UploadStatus.PENDING)
    expires_at: Mapped[datetime]
    file_seconds: Mapped[int | None] = mapped_column(default=None)
    """How long the file is kept; None means until it is deleted."""
    file_id: Mapped[str | None] = mapped_column(default=None)
    """The file that it has become; the id stays when the file has been deleted."""
    parts_digest: Mapped[str | None] = mapped_column(default=None)
    """Of the ids that it was completed with: who asks for the same again gets the same answer."""


class UploadPart(Base, Identified):
    """Some of an upload's bytes; the row goes when the upload has ended, in whatever way."""

    __tablename__ = "upload_parts"
    __table_args__ = (UniqueConstraint("upload_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("part"))
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"))
    number: Mapped[int | None] = mapped_column(default=None)
    """The client's own name for it; None for a part that was posted without one."""
    num_bytes: Mapped[int]
    sha256: Mapped[str]
    blob_id: Mapped[str] = mapped_column(ForeignKey("blobs.id"), index=True)
