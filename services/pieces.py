"""Pieces: parts of a corpus or a dataset, planned by whoever makes the whole, made by anybody.

Whoever holds the whole is its coordinator. It plans the pieces, works on them like everybody else,
and goes on when all of them are there. A piece has a lease, a fence and attempts of its own; when
one has been made, the earlier attempts at the whole are forgiven.

Locks are taken in one order: the work on the whole, the work on a piece, then their rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.errors import BadData
from core.lifecycle import PieceStage, ResourceStatus, WorkKind
from core.queues import queue_for
from corpora.plan import SourceSize, plan_pieces
from db.tables import Dataset, File, Piece, Work
from db.unit_of_work import UnitOfWork
from services import attempts, work
from services.attempts import Claim
from services.doorbell import Doorbell
from storage import keys

_PRIORITY: Final = -1
"""Whole things come first: each has its own coordinator, and spare workers help with pieces."""
_MOST_RINGS: Final = 64
"""Who hears one goes from piece to piece; the reconciler rings again where that is not enough."""
_BYTES_ENCODED_TOGETHER: Final = 2**25
"""Small shards are encoded by one worker; it costs more to wake another."""


@dataclass(frozen=True, slots=True)
class ShardSize:
    """A shard of documents as far as planning needs to know it; ``num_bytes`` compressed."""

    name: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Done:
    """How far a piece is."""

    num_files: int = 0
    num_records: int = 0
    num_bytes: int = 0


def plan_reading(
    uow: UnitOfWork,
    claim: Claim,
    *,
    bytes_per_piece: int,
    doorbell: Doorbell,
) -> list[Piece]:
    """What a corpus is made of: the pieces of the one it extends, then those of its own files.

    They are planned once; a later attempt finds them.

    Raises:
        BadData: a file has been deleted since the corpus was asked for.
    """
    uow.work.require(claim.work_id, fence=claim.fence)
    known = uow.pieces.of_corpus(claim.subject_id)
    if known:
        return known
    corpus = uow.corpora.get(claim.subject_id)
    inherited = [] if corpus.extends_id is None else uow.pieces.of_corpus(corpus.extends_id)
    # A corpus that was made before there were pieces has none; then everything is read.
    file_ids = (uow.corpora.own_file_ids if inherited else uow.corpora.file_ids)(corpus.id)
    files = {file.id: file for file in _existing(uow, file_ids)}
    planned = plan_pieces(
        [
            SourceSize(file.id, file.filename, file.sha256, file.num_bytes)
            for file in files.values()
        ],
        bytes_per_piece=bytes_per_piece,
    )
    new = [
        Piece(
            parent_id=corpus.id,
            stage=PieceStage.READ,
            position=position,
            task={"files": ids},
            num_files=len(ids),
            num_bytes=sum(files[file_id].num_bytes for file_id in ids),
        )
        for position, ids in enumerate(planned)
    ]
    _add(uow, new, doorbell=doorbell)
    uow.pieces.link(corpus.id, [*inherited, *new])
    return [*inherited, *new]


def plan_encoding(
    uow: UnitOfWork,
    claim: Claim,
    dataset: Dataset,
    shards: Sequence[ShardSize],
    *,
    doorbell: Doorbell,
) -> list[Piece]:
    """Part the documents of a corpus into what is encoded together.

    Pieces of an earlier attempt count only if they were made for the very same dataset.
    """
    uow.work.require(claim.work_id, fence=claim.fence)
    known = uow.pieces.of_parent(claim.subject_id, PieceStage.ENCODE)
    if known and known[0].task["dataset"] == dataset.id:
        return known
    forget_encoding(uow, claim.subject_id)
    new = [
        Piece(
            parent_id=claim.subject_id,
            stage=PieceStage.ENCODE,
            position=position,
            task={"dataset": dataset.id, "shards": [shard.name for shard in together]},
            num_files=len(together),
            num_bytes=sum(shard.num_bytes for shard in together),
        )
        for position, together in enumerate(_together(shards))
    ]
    _add(uow, new, doorbell=doorbell)
    return new


def start(uow: UnitOfWork, claim: Claim) -> Piece:
    """An attempt begins."""
    uow.work.require(claim.work_id, fence=claim.fence)
    piece = uow.pieces.get(claim.subject_id, lock=True)
    piece.status = ResourceStatus.PROCESSING
    _set_done(piece, Done())
    return piece


def advance(uow: UnitOfWork, claim: Claim, done: Done) -> None:
    """Write how far it is."""
    uow.work.require(claim.work_id, fence=claim.fence)
    _set_done(uow.pieces.get(claim.subject_id, lock=True), done)


def finish(uow: UnitOfWork, claim: Claim, *, prefix: str, result: Mapping[str, Any]) -> None:
    """The piece is in the store; earlier attempts at the whole are forgiven."""
    assert claim.parent_id is not None  # it is a piece
    uow.work.bears_fruit(claim.parent_id)
    uow.work.require(claim.work_id, fence=claim.fence)
    piece = uow.pieces.get(claim.subject_id, lock=True)
    piece.status = ResourceStatus.READY
    piece.prefix = prefix
    piece.result = dict(result)
    _set_done(
        piece,
        Done(
            num_files=piece.num_files,
            num_records=int(result.get("num_records", piece.records_done)),
            num_bytes=piece.num_bytes,
        ),
    )
    attempts.complete(uow, claim)


def fail(
    uow: UnitOfWork,
    claim: Claim,
    *,
    code: str,
    message: str,
    param: str | None = None,
    exit_code: int | None = None,
) -> None:
    """It cannot be made; the coordinator finds out and ends the whole."""
    attempts.fail(uow, claim, cause=message, exit_code=exit_code)
    _fail(uow, claim.subject_id, code=code, message=message, param=param)


def leave(
    uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell, exit_code: int | None = None
) -> None:
    """This worker was asked to go; another begins the piece anew."""
    task = attempts.give_back(uow, claim, exit_code=exit_code)
    uow.pieces.get(claim.subject_id, lock=True).status = ResourceStatus.QUEUED
    work.announce(uow, [task], doorbell=doorbell)


def settle_lost(uow: UnitOfWork, task: Work, *, cause: str, delay_after: int) -> None:
    """An attempt ended without a result: try again later, or give up; see `recovery`."""
    if attempts.rest(uow, task, delay_after=delay_after):
        uow.pieces.get(task.subject_id, lock=True).status = ResourceStatus.QUEUED
    else:
        message = attempts.exhausted(task, cause=cause)
        _fail(uow, task.subject_id, code="too_many_attempts", message=message)


def forget_encoding(uow: UnitOfWork, parent_id: str) -> None:
    """What was encoded belongs to a dataset now, or to none; nobody goes on with it."""
    uow.work.delete_parts(parent_id)
    uow.pieces.delete_stage(parent_id, PieceStage.ENCODE)


def release(uow: UnitOfWork, corpus_id: str) -> list[str]:
    """A corpus needs its pieces no more, nor whoever is at one.

    Returns:
        The prefixes of those that no other corpus has; their bytes may go after the commit.
    """
    forget_encoding(uow, corpus_id)
    return [
        keys.piece(piece_id) for piece_id in uow.pieces.delete_unused(uow.pieces.unlink(corpus_id))
    ]


def _add(uow: UnitOfWork, new: Sequence[Piece], *, doorbell: Doorbell) -> None:
    """Leave pieces for any worker, and wake workers for all but the first.

    The coordinator is awake already: it does one itself.
    """
    tasks = []
    for piece in new:
        uow.pieces.add(piece)
        tasks.append(
            uow.work.add(
                Work(
                    kind=WorkKind.PIECE,
                    subject_id=piece.id,
                    parent_id=piece.parent_id,
                    queue=queue_for(WorkKind.PIECE),
                    priority=_PRIORITY,
                )
            )
        )
    work.announce(uow, tasks[1 : 1 + _MOST_RINGS], doorbell=doorbell)


def _existing(uow: UnitOfWork, file_ids: Sequence[str]) -> list[File]:
    known = uow.files.get_many(file_ids)
    for file_id in file_ids:
        if file_id not in known:
            raise BadData(
                f"File {file_id!r} has been deleted before the corpus was made.",
                code="file_deleted",
                param="files",
            )
    return [known[file_id] for file_id in file_ids]


def _together(shards: Sequence[ShardSize]) -> list[list[ShardSize]]:
    parted: list[list[ShardSize]] = []
    num_bytes = 0
    for shard in shards:
        if not parted or num_bytes + shard.num_bytes > _BYTES_ENCODED_TOGETHER:
            parted.append([])
            num_bytes = 0
        parted[-1].append(shard)
        num_bytes += shard.num_bytes
    return parted


def _set_done(piece: Piece, done: Done) -> None:
    piece.files_done = done.num_files
    piece.records_done = done.num_records
    piece.bytes_done = done.num_bytes


def _fail(
    uow: UnitOfWork, piece_id: str, *, code: str, message: str, param: str | None = None
) -> None:
    piece = uow.pieces.get(piece_id, lock=True)
    piece.status = ResourceStatus.FAILED
    piece.error = {"code": code, "message": message, "param": param}
