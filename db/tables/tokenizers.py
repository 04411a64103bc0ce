"""Tokenizers: text to token ids and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import ResourceStatus
from db.base import Base
from db.tables.owned import Identified, WithMetadata


class Tokenizer(Base, Identified, WithMetadata):
    """A tokenizer trained on a corpus, or one that a user uploaded."""

    __tablename__ = "tokenizers"
    __table_args__ = (Index(None, "project_id", "id"), Index(None, "project_id", "corpus_id"))

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("tokenizer"))
    name: Mapped[str]
    corpus_id: Mapped[str | None] = mapped_column(default=None)
    """What it is made from; an uploaded one, what it is measured on, if anything."""
    file_id: Mapped[str | None] = mapped_column(default=None, index=True)
    """The `tokenizer.json` of an uploaded one; the id stays when that has been deleted."""
    status: Mapped[ResourceStatus] = mapped_column(default=ResourceStatus.QUEUED)
    progress: Mapped[float] = mapped_column(default=0.0)
    algorithm: Mapped[str]
    requested_vocab_size: Mapped[int | None] = mapped_column(default=None)
    vocab_size: Mapped[int | None] = mapped_column(default=None)
    sha256: Mapped[str | None] = mapped_column(default=None)
    stats: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    error: Mapped[dict[str, Any] | None] = mapped_column(default=None)
    is_default: Mapped[bool] = mapped_column(default=False)
