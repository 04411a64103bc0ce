"""Queries on attempts."""

from __future__ import annotations

from sqlalchemy import func, select

from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Attempt


class AttemptRepository(OwnedRepository[Attempt]):
    """Tries at the project's pieces of work."""

    table = Attempt
    noun = "attempt"
    prefix = "attempt"

    def unfinished(self, subject_id: str) -> list[Attempt]:
        """Attempts without an end, oldest first.

        Whoever has claimed the work knows that those of smaller fences have been abandoned.
        """
        query = (
            self._owned(select(Attempt))
            .where(Attempt.subject_id == subject_id, Attempt.finished_at.is_(None))
            .order_by(Attempt.number)
        )
        return list(self._session.scalars(query))

    def find_latest(self, subject_id: str) -> Attempt | None:
        """The latest attempt at a corpus, a tokenizer or a job, or None."""
        query = (
            self._owned(select(Attempt))
            .where(Attempt.subject_id == subject_id)
            .order_by(Attempt.number.desc())
            .limit(1)
        )
        return self._session.scalars(query).one_or_none()

    def count_of(self, subject_id: str) -> int:
        """How often a corpus, a tokenizer or a job has been tried."""
        query = self._owned(select(func.count(Attempt.id))).where(Attempt.subject_id == subject_id)
        return self._session.scalar(query) or 0

    def page(
        self, *, subject_id: str, limit: int = 20, after: str | None = None, order: Order = "desc"
    ) -> Page[Attempt]:
        """A stretch of the attempts at a corpus, a tokenizer or a job."""
        return self._page(Attempt.subject_id == subject_id, limit=limit, after=after, order=order)
