"""Corpora: processed collections of documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import ResourceStatus
from db.base import Base
from db.tables.owned import Identified, WithMetadata


class Corpus(Base, Identified, WithMetadata):
    """Documents made from files: read, cleaned, deduplicated, split and reported on."""

    __tablename__ = "corpora"
    __table_args__ = (Index(None, "project_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("corpus"))
    name: Mapped[str]
    status: Mapped[ResourceStatus] = mapped_column(default=ResourceStatus.QUEUED)
    progress: Mapped[float] = mapped_column(default=0.0)
    stage: Mapped[str | None] = mapped_column(default=None)
    options: Mapped[dict[str, Any]]
    digest: Mapped[str | None] = mapped_column(default=None)
    stats: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    splits: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    default_tokenizer_id: Mapped[str | None] = mapped_column(default=None)
    error: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    ready_at: Mapped[datetime | None] = mapped_column(default=None)
    extends_id: Mapped[str | None] = mapped_column(default=None, index=True)
    """The corpus whose pieces this one has as well; the id stays when that has been deleted."""
    evaluation_file_id: Mapped[str | None] = mapped_column(default=None, index=True)
    """The file that ``clean.decontaminate`` names."""
    processing: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    """How far the present stage is; None unless the corpus is being made."""


class CorpusFile(Base):
    """A file that a corpus is made of; the id stays when the file has been deleted."""

    __tablename__ = "corpus_files"

    corpus_id: Mapped[str] = mapped_column(
        ForeignKey("corpora.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    file_id: Mapped[str] = mapped_column(index=True)
    is_inherited: Mapped[bool] = mapped_column(default=False)
    """Whether it was read for the corpus that this one extends, and need not be read again."""


class CorpusPiece(Base):
    """A piece of work whose texts are part of a corpus; one that extends another shares them."""

    __tablename__ = "corpus_pieces"

    corpus_id: Mapped[str] = mapped_column(
        ForeignKey("corpora.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    piece_id: Mapped[str] = mapped_column(index=True)
