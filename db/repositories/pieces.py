"""Queries on pieces."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, delete, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute

from core.lifecycle import PieceStage, ResourceStatus
from db.repositories.owned import OwnedRepository
from db.tables import CorpusPiece, Piece


@dataclass(frozen=True, slots=True)
class Tally:
    """How far the pieces of one stage are, all together."""

    num_pieces: int
    num_ready: int
    num_failed: int
    num_files: int
    files_done: int
    records_done: int
    num_bytes: int
    bytes_done: int


class PieceRepository(OwnedRepository[Piece]):
    """Parts of the project's corpora and datasets."""

    table = Piece
    noun = "piece"
    prefix = "piece"

    def of_parent(self, parent_id: str, stage: PieceStage) -> list[Piece]:
        """What was planned for a stage of something, in order."""
        query = (
            self._owned(select(Piece))
            .where(Piece.parent_id == parent_id, Piece.stage == stage)
            .order_by(Piece.position)
        )
        return list(self._session.scalars(query))

    def of_corpus(self, corpus_id: str) -> list[Piece]:
        """The pieces that a corpus consists of, in order: those of the corpus it extends first."""
        query = (
            self._owned(select(Piece))
            .join(CorpusPiece, CorpusPiece.piece_id == Piece.id)
            .where(CorpusPiece.corpus_id == corpus_id)
            .order_by(CorpusPiece.position)
        )
        return list(self._session.scalars(query))

    def link(self, corpus_id: str, pieces: Sequence[Piece]) -> None:
        """Say that a corpus consists of these, in this order."""
        self._session.add_all(
            CorpusPiece(corpus_id=corpus_id, position=position, piece_id=piece.id)
            for position, piece in enumerate(pieces)
        )
        self._session.flush()

    def tally(self, parent_id: str, stage: PieceStage) -> Tally:
        """The sums over the pieces of one stage, wherever each of them is made."""
        query = select(
            func.count(Piece.id),
            _num_with(ResourceStatus.READY),
            _num_with(ResourceStatus.FAILED),
            *(_total(column) for column in _SUMMED),
        ).where(
            Piece.project_id == self._scope.project_id,
            Piece.parent_id == parent_id,
            Piece.stage == stage,
        )
        return Tally(*(int(value) for value in self._session.execute(query).one()))

    def find_failed(self, parent_id: str) -> Piece | None:
        """The first piece of something that cannot be made, or None."""
        query = (
            self._owned(select(Piece))
            .where(Piece.parent_id == parent_id, Piece.status == ResourceStatus.FAILED)
            .order_by(Piece.stage, Piece.position)
            .limit(1)
        )
        return self._session.scalars(query).one_or_none()

    def unlink(self, corpus_id: str) -> list[str]:
        """A corpus consists of nothing any more.

        Returns:
            The ids of the pieces that it consisted of; see `delete_unused`.
        """
        statement = (
            delete(CorpusPiece)
            .where(CorpusPiece.corpus_id == corpus_id)
            .returning(CorpusPiece.piece_id)
            .execution_options(synchronize_session=False)
        )
        return list(self._session.scalars(statement))

    def delete_unused(self, piece_ids: Collection[str]) -> list[str]:
        """Forget those of the pieces that no corpus consists of.

        Returns:
            Their ids; what the store has of them may be deleted after the commit.
        """
        # Locked in a statement of its own: one that waits for a lock goes on with what it saw
        # before, and would not see that the corpus that shared them is gone as well.
        owned = self._owned(select(Piece.id)).where(Piece.id.in_(piece_ids))
        locked = self._session.scalars(owned.order_by(Piece.id).with_for_update()).all()
        statement = (
            delete(Piece)
            .where(Piece.id.in_(locked), ~exists().where(CorpusPiece.piece_id == Piece.id))
            .returning(Piece.id)
            .execution_options(synchronize_session=False)
        )
        return list(self._session.scalars(statement))

    def delete_stage(self, parent_id: str, stage: PieceStage) -> None:
        """Forget the pieces of one stage of something."""
        self._delete(Piece.parent_id == parent_id, Piece.stage == stage)

    def delete_of(self, parent_id: str) -> None:
        """Forget every piece of something."""
        self._delete(Piece.parent_id == parent_id)

    def _delete(self, *conditions: ColumnElement[bool]) -> None:
        self._session.execute(
            delete(Piece).where(Piece.project_id == self._scope.project_id, *conditions),
            execution_options={"synchronize_session": False},
        )


_SUMMED: Final = (
    Piece.num_files, Piece.files_done, Piece.records_done, Piece.num_bytes, Piece.bytes_done
)  # fmt: skip


def _num_with(status: ResourceStatus) -> ColumnElement[int]:
    return func.count(Piece.id).filter(Piece.status == status)


def _total(column: InstrumentedAttribute[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(column), 0)
