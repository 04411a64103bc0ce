"""The reconciler's questions, across all projects."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.lifecycle import CheckpointStatus, ResourceStatus, UploadStatus
from db.tables import (
    Attempt,
    Blob,
    Checkpoint,
    Corpus,
    Dataset,
    File,
    Leader,
    Piece,
    Reservation,
    Tokenizer,
    Upload,
    Work,
)
from db.time_source import TimeSource


class UpkeepRepository:
    """What one process looks after for the whole installation."""

    def __init__(self, session: Session, *, time_source: TimeSource) -> None:
        self._session = session
        self._time = time_source

    def leader(self, name: str) -> str | None:
        """Who leads in something, or was the last to."""
        return self._session.scalar(select(Leader.owner).where(Leader.name == name))

    def lead(self, name: str, *, owner: str, seconds: float, heir_of: str | None = None) -> bool:
        """Lead, or go on leading, for so long; False if another does.

        Args:
            name: In what.
            owner: Who asks; unique among processes.
            seconds: How long the lead lasts without being renewed.
            heir_of: A leader who is known to be dead, and is not waited for.
        """
        until = self._time.shifted(timedelta(seconds=seconds))
        insert = self._insert_of()(Leader).values(name=name, owner=owner, until=until)
        self._session.execute(insert.on_conflict_do_nothing(index_elements=["name"]))
        taken = (
            update(Leader)
            .where(
                Leader.name == name,
                or_(Leader.owner.in_([owner, heir_of]), Leader.until <= self._time.now()),
            )
            .values(owner=owner, until=until)
            .returning(Leader.name)
        )
        found = self._session.scalar(taken, execution_options={"synchronize_session": False})
        return found is not None

    def attempts_on(self, host: str) -> list[Attempt]:
        """The attempts of one host that still hold their work, of any project."""
        query = (
            select(Attempt)
            .join(Work, and_(Work.id == Attempt.work_id, Work.fence == Attempt.fence))
            .where(
                Attempt.host == host,
                Attempt.finished_at.is_(None),
                Work.owner.is_not(None),
                Work.finished_at.is_(None),
            )
            .order_by(Attempt.id)
        )
        return list(self._session.scalars(query))

    def knows_checkpoint(self, prefix: str) -> bool:
        """Whether a checkpoint that has not been deleted has its bytes there."""
        query = select(Checkpoint.id).where(
            Checkpoint.prefix == prefix, Checkpoint.status != CheckpointStatus.DELETED
        )
        return self._session.scalar(query.limit(1)) is not None

    def unneeded_checkpoints(self, *, older_than: timedelta, limit: int = 100) -> list[Checkpoint]:
        """Checkpoints, of any project, that their job has not needed since ``older_than`` ago."""
        query = (
            select(Checkpoint)
            .where(
                Checkpoint.unneeded_since <= self._time.shifted(-older_than),
                Checkpoint.status == CheckpointStatus.COMPLETE,
            )
            .order_by(Checkpoint.unneeded_since, Checkpoint.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def expired_files(self, *, limit: int = 1000) -> list[File]:
        """Files, of any project, that are kept no longer."""
        query = (
            select(File)
            .where(File.expires_at <= self._time.now())
            .order_by(File.expires_at, File.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def expired_uploads(self, *, limit: int = 1000) -> list[Upload]:
        """Uploads, of any project, that nobody has completed in time."""
        query = (
            select(Upload)
            .where(Upload.status == UploadStatus.PENDING, Upload.expires_at <= self._time.now())
            .order_by(Upload.expires_at, Upload.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def reservations(self) -> list[Reservation]:
        """Room that is kept for bytes on their way in, of any project."""
        return list(self._session.scalars(select(Reservation).order_by(Reservation.id)))

    def oldest_reservation_at(self) -> datetime | None:
        """Since when bytes may be on their way in that no row refers to yet."""
        return self._session.scalar(select(func.min(Reservation.created_at)))

    def known_blobs(self, blob_keys: Collection[str]) -> set[str]:
        """Those of the keys that are a blob's."""
        return self._known(Blob.key, blob_keys)

    def known_corpora(self, corpus_ids: Collection[str]) -> set[str]:
        """Those of the ids that are a corpus's, unless it has failed."""
        return self._known(Corpus.id, corpus_ids, Corpus.status != ResourceStatus.FAILED)

    def known_tokenizers(self, tokenizer_ids: Collection[str]) -> set[str]:
        """Those of the ids that are a tokenizer's, unless it has failed."""
        return self._known(Tokenizer.id, tokenizer_ids, Tokenizer.status != ResourceStatus.FAILED)

    def known_datasets(self, prefixes: Collection[str]) -> set[str]:
        """Those of the prefixes that are a dataset's, made or in the making."""
        return self._known(Dataset.prefix, prefixes)

    def known_pieces(self, prefixes: Collection[str]) -> set[str]:
        """Those of the prefixes that have what a piece consists of."""
        return self._known(Piece.prefix, prefixes)

    def unneeded_datasets(self, *, limit: int = 100) -> list[Dataset]:
        """Datasets, of any project, whose corpus or tokenizer is gone, and its equals as well."""
        has_corpus = exists().where(
            Corpus.project_id == Dataset.project_id,
            or_(Corpus.id == Dataset.corpus_id, Corpus.digest == Dataset.corpus_digest),
        )
        has_tokenizer = exists().where(
            Tokenizer.project_id == Dataset.project_id,
            or_(
                Tokenizer.id == Dataset.tokenizer_id,
                Tokenizer.sha256 == Dataset.tokenizer_sha256,
            ),
        )
        query = select(Dataset).where(~and_(has_corpus, has_tokenizer))
        return list(self._session.scalars(query.order_by(Dataset.id).limit(limit)))

    def may_still_commit(self, subject_id: str, *, fence: int, within: timedelta) -> bool:
        """Whether the attempt of this fence goes on, or ended less than ``within`` ago."""
        query = select(Attempt.id).where(
            Attempt.subject_id == subject_id,
            Attempt.fence == fence,
            or_(Attempt.finished_at.is_(None), Attempt.finished_at > self._time.shifted(-within)),
        )
        return self._session.scalar(query.limit(1)) is not None

    def _known(
        self,
        column: InstrumentedAttribute[Any],
        values: Collection[str],
        *conditions: ColumnElement[bool],
    ) -> set[str]:
        return set(self._session.scalars(select(column).where(column.in_(values), *conditions)))

    def _insert_of(self) -> type[postgresql.Insert | sqlite.Insert]:
        is_postgresql = self._session.get_bind().dialect.name == "postgresql"
        return postgresql.Insert if is_postgresql else sqlite.Insert
