"""Datasets: corpora encoded by tokenizers, addressed by content."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Index, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped

from db.base import Base
from db.tables.owned import Owned


class Dataset(Base, Owned):
    """Token shards under ``prefix``; the same corpus and tokenizer give the same digest."""

    __tablename__ = "datasets"
    __table_args__ = (
        PrimaryKeyConstraint("project_id", "digest"),
        Index(None, "corpus_id", "tokenizer_id"),
    )

    digest: Mapped[str]
    corpus_id: Mapped[str]
    tokenizer_id: Mapped[str]
    prefix: Mapped[str]
    num_train_tokens: Mapped[int]
    manifest: Mapped[dict[str, Any]]
