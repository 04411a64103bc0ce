"""Queries on corpora."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select

from core.lifecycle import ResourceStatus
from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Corpus, CorpusFile


class CorpusRepository(OwnedRepository[Corpus]):
    """Corpora and the ids of the files they are made of."""

    table = Corpus
    noun = "corpus"
    prefix = "corpus"

    def add_with_files(self, corpus: Corpus, file_ids: Sequence[str]) -> Corpus:
        """Insert a corpus made of these files, in this order."""
        self.add(corpus)
        self._session.add_all(
            CorpusFile(corpus_id=corpus.id, position=position, file_id=file_id)
            for position, file_id in enumerate(file_ids)
        )
        self._session.flush()
        return corpus

    def file_ids(self, corpus_id: str) -> list[str]:
        """The files of a corpus, in order; some may have been deleted since."""
        return self.file_ids_of([corpus_id]).get(corpus_id, [])

    def file_ids_of(self, corpus_ids: Sequence[str]) -> dict[str, list[str]]:
        """The files of each corpus, in order, in one query."""
        query = (
            select(CorpusFile.corpus_id, CorpusFile.file_id)
            .join(Corpus, Corpus.id == CorpusFile.corpus_id)
            .where(Corpus.project_id == self._scope.project_id)
            .where(CorpusFile.corpus_id.in_(corpus_ids))
            .order_by(CorpusFile.corpus_id, CorpusFile.position)
        )
        found: dict[str, list[str]] = {}
        for corpus_id, file_id in self._session.execute(query):
            found.setdefault(corpus_id, []).append(file_id)
        return found

    def made_of(self, file_id: str) -> list[Corpus]:
        """The corpora that a file is part of."""
        query = (
            self._owned(select(Corpus))
            .where(Corpus.id.in_(select(CorpusFile.corpus_id).where(CorpusFile.file_id == file_id)))
            .order_by(Corpus.id)
        )
        return list(self._session.scalars(query))

    def page(
        self,
        *,
        limit: int = 20,
        after: str | None = None,
        order: Order = "desc",
        status: ResourceStatus | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[Corpus]:
        """A stretch of the project's corpora."""
        conditions = self._with_metadata(Corpus.metadata_, metadata)
        if status is not None:
            conditions.append(Corpus.status == status)
        return self._page(*conditions, limit=limit, after=after, order=order)
