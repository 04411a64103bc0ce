"""Queries on tokenizers."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from core.lifecycle import ResourceStatus
from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Tokenizer


class TokenizerRepository(OwnedRepository[Tokenizer]):
    """Tokenizers, made from corpora or uploaded."""

    table = Tokenizer
    noun = "tokenizer"
    prefix = "tokenizer"

    def find_made(
        self, *, corpus_id: str, algorithm: str, vocab_size: int | None
    ) -> Tokenizer | None:
        """The oldest that was asked for with this recipe and has not failed, to be used again."""
        query = (
            self._owned(select(Tokenizer))
            .where(
                Tokenizer.corpus_id == corpus_id,
                Tokenizer.file_id.is_(None),
                Tokenizer.algorithm == algorithm,
                Tokenizer.requested_vocab_size.is_not_distinct_from(vocab_size),
                Tokenizer.status != ResourceStatus.FAILED,
            )
            .order_by(Tokenizer.id)
            .limit(1)
        )
        return self._session.scalars(query).one_or_none()

    def find_by_digest(self, sha256: str, *, but: str | None = None) -> Tokenizer | None:
        """A tokenizer of just these bytes, other than ``but``, or None."""
        query = self._owned(select(Tokenizer)).where(
            Tokenizer.sha256 == sha256, Tokenizer.status == ResourceStatus.READY
        )
        if but is not None:
            query = query.where(Tokenizer.id != but)
        return self._session.scalars(query.order_by(Tokenizer.id).limit(1)).one_or_none()

    def of_corpus(self, corpus_id: str) -> list[Tokenizer]:
        """The tokenizers made from a corpus or measured on it, oldest first."""
        query = self._owned(select(Tokenizer)).where(Tokenizer.corpus_id == corpus_id)
        return list(self._session.scalars(query.order_by(Tokenizer.id)))

    def made_of(self, file_id: str) -> list[Tokenizer]:
        """The tokenizers made of an uploaded file, oldest first."""
        query = self._owned(select(Tokenizer)).where(Tokenizer.file_id == file_id)
        return list(self._session.scalars(query.order_by(Tokenizer.id)))

    def page(
        self,
        *,
        limit: int = 20,
        after: str | None = None,
        order: Order = "desc",
        status: ResourceStatus | None = None,
        corpus_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Tokenizer]:
        """A stretch of the project's tokenizers."""
        conditions = self._with_metadata(Tokenizer.metadata_, metadata)
        if status is not None:
            conditions.append(Tokenizer.status == status)
        if corpus_id is not None:
            conditions.append(Tokenizer.corpus_id == corpus_id)
        return self._page(*conditions, limit=limit, after=after, order=order)
