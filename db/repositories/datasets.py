"""Queries on datasets."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.dialects import postgresql, sqlite

from core.lifecycle import ResourceStatus
from db.repositories.owned import OwnedRepository
from db.tables import Dataset


class DatasetRepository(OwnedRepository[Dataset]):
    """Encoded corpora of a project, made or to be made, one of each digest."""

    table = Dataset
    noun = "dataset"
    prefix = "dataset"

    def find_by_digest(self, digest: str) -> Dataset | None:
        """The dataset of this digest, in whatever state, or None."""
        query = self._owned(select(Dataset)).where(Dataset.digest == digest)
        return self._session.scalars(query).one_or_none()

    def find_ready(self, digest: str) -> Dataset | None:
        """The dataset of this digest if it has been made, or None."""
        dataset = self.find_by_digest(digest)
        is_ready = dataset is not None and dataset.status is ResourceStatus.READY
        return dataset if is_ready else None

    def add_once(self, dataset: Dataset) -> tuple[Dataset, bool]:
        """Insert a dataset unless the project has one of this digest, by whomever.

        Returns:
            The one that is there now, and whether it is the one given.
        """
        values = {
            name: getattr(dataset, name)
            for name in Dataset.__table__.columns.keys()  # noqa: SIM118 - not a mapping
            if name not in {"project_id", "created_at"}
        }
        values |= {"project_id": self._scope.project_id, "created_at": self._scope.now()}
        is_postgresql = self._session.get_bind().dialect.name == "postgresql"
        insert = postgresql.insert if is_postgresql else sqlite.insert
        self._session.execute(insert(Dataset).values(values).on_conflict_do_nothing())
        found = self.find_by_digest(dataset.digest)
        assert found is not None  # ours, or the one that stood in its way
        return found, found.id == dataset.id

    def of_corpus(self, corpus_id: str, *, digest: str | None) -> list[Dataset]:
        """Every encoding of a corpus, or of another with the same content."""
        query = self._owned(select(Dataset)).where(
            (Dataset.corpus_id == corpus_id) | (Dataset.corpus_digest == digest)
        )
        return list(self._session.scalars(query.order_by(Dataset.id)))

    def of_tokenizer(self, sha256: str) -> list[Dataset]:
        """Everything that tokenizers of these bytes have encoded, or are to encode."""
        query = self._owned(select(Dataset)).where(Dataset.tokenizer_sha256 == sha256)
        return list(self._session.scalars(query.order_by(Dataset.id)))

    def is_stored_for_others(self, prefix: str) -> bool:
        """Whether any project's dataset has its shards there: then the bytes must stay.

        Datasets made before they had ids share what is equal, across projects as well.
        """
        return bool(self._session.scalar(select(exists().where(Dataset.prefix == prefix))))
