"""Queries on datasets."""

from __future__ import annotations

from sqlalchemy import Select, exists, select

from db.repositories.scope import Scope
from db.tables import Dataset


class DatasetRepository:
    """Encoded corpora of a project, by digest."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._session = scope.session

    def add(self, dataset: Dataset) -> Dataset:
        """Insert a dataset; where the project has one of this digest, that one stays."""
        known = self.find(dataset.digest)
        if known is not None:
            return known
        dataset.project_id = self._scope.project_id
        dataset.created_at = self._scope.now()
        self._session.add(dataset)
        self._session.flush()
        return dataset

    def find(self, digest: str) -> Dataset | None:
        """The dataset of this digest, or None."""
        return self._session.scalars(self._owned().where(Dataset.digest == digest)).one_or_none()

    def of_corpus(self, corpus_id: str) -> list[Dataset]:
        """Every encoding of a corpus."""
        query = self._owned().where(Dataset.corpus_id == corpus_id).order_by(Dataset.digest)
        return list(self._session.scalars(query))

    def delete(self, dataset: Dataset) -> None:
        """Forget a dataset."""
        self._session.delete(dataset)
        self._session.flush()

    def is_stored_for_others(self, prefix: str) -> bool:
        """Whether any project's dataset has its shards there: then the bytes must stay.

        The one question about other projects, and it is about bytes, whose address is their digest.
        """
        return bool(self._session.scalar(select(exists().where(Dataset.prefix == prefix))))

    def _owned(self) -> Select[Dataset]:
        return select(Dataset).where(Dataset.project_id == self._scope.project_id)
