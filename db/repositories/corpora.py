"""Queries on corpora."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import or_, select

from core.lifecycle import ResourceStatus
from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Corpus, CorpusFile


class CorpusRepository(OwnedRepository[Corpus]):
    """Corpora and the ids of the files they are made of."""

    table = Corpus
    noun = "corpus"
    prefix = "corpus"

    def add_with_files(
        self, corpus: Corpus, file_ids: Sequence[str], *, inherited: Sequence[str] = ()
    ) -> Corpus:
        """Insert a corpus made of these files, in this order, after those it has inherited."""
        self.add(corpus)
        self._session.add_all(
            CorpusFile(
                corpus_id=corpus.id,
                position=position,
                file_id=file_id,
                is_inherited=position < len(inherited),
            )
            for position, file_id in enumerate([*inherited, *file_ids])
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

    def own_file_ids(self, corpus_id: str) -> list[str]:
        """The files that are read for this corpus and were not for the one it extends, in order."""
        query = (
            select(CorpusFile.file_id)
            .join(Corpus, Corpus.id == CorpusFile.corpus_id)
            .where(Corpus.project_id == self._scope.project_id)
            .where(CorpusFile.corpus_id == corpus_id, CorpusFile.is_inherited.is_(False))
            .order_by(CorpusFile.position)
        )
        return list(self._session.scalars(query))

    def made_of(self, file_id: str) -> list[Corpus]:
        """The corpora that a file is read for: as a part, or as what they must not contain."""
        parts = select(CorpusFile.corpus_id).where(
            CorpusFile.file_id == file_id, CorpusFile.is_inherited.is_(False)
        )
        query = (
            self._owned(select(Corpus))
            .where(or_(Corpus.id.in_(parts), Corpus.evaluation_file_id == file_id))
            .order_by(Corpus.id)
        )
        return list(self._session.scalars(query))

    def extensions_in_the_making(self, corpus_id: str) -> list[Corpus]:
        """The corpora that are to get this one's pieces, and have not ended yet."""
        query = (
            self._owned(select(Corpus))
            .where(
                Corpus.extends_id == corpus_id,
                Corpus.status.in_([ResourceStatus.QUEUED, ResourceStatus.PROCESSING]),
            )
            .order_by(Corpus.id)
        )
        return list(self._session.scalars(query))

    def find_by_digest(self, digest: str, *, but: str | None = None) -> Corpus | None:
        """A corpus with just this content, other than ``but``, or None."""
        query = self._owned(select(Corpus)).where(Corpus.digest == digest)
        if but is not None:
            query = query.where(Corpus.id != but)
        return self._session.scalars(query.order_by(Corpus.id).limit(1)).one_or_none()

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
