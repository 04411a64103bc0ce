"""Datasets: corpora encoded by tokenizers, known by what they contain."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from core.lifecycle import ResourceStatus
from db.base import Base
from db.tables.owned import Identified


class Dataset(Base, Identified):
    """Token shards under ``prefix``; the same corpus and tokenizer give the same digest.

    The row is there before the first byte is, and the prefix is its own: whoever deletes a row
    may delete the bytes, whatever else happens meanwhile.
    """

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("project_id", "digest"), Index(None, "corpus_digest"))

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("dataset"))
    digest: Mapped[str]
    corpus_digest: Mapped[str]
    tokenizer_sha256: Mapped[str]
    corpus_id: Mapped[str]
    """The corpus it was first asked for with; another of the same digest will do as well."""
    tokenizer_id: Mapped[str]
    """As with the corpus."""
    prefix: Mapped[str]
    status: Mapped[ResourceStatus] = mapped_column(default=ResourceStatus.QUEUED)
    num_train_tokens: Mapped[int] = mapped_column(default=0)
    manifest: Mapped[dict[str, Any] | None] = mapped_column(default=None)
