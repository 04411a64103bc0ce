"""Pieces of corpora and datasets: made by a coordinator itself, or by workers that help it."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import BadData, Unavailable
from core.lifecycle import PieceStage
from core.processes import ProcessIdentity
from db.tables import Piece
from db.unit_of_work import UnitOfWork
from services import attempts, datasets, pieces
from services.attempts import Claim
from storage import keys
from workers.attempt import attempted
from workers.heartbeat import JointLease, Lease
from workers.kinds.corpus_child import CorpusChild, Unfinished
from workers.kinds.sources import Source, bring, bring_shards, bring_tokenizer, find_sources
from workers.kinds.unfinished import settle_unfinished
from workers.messages import FromChild, Progressed
from workers.workplace import Workplace

_SECONDS_BETWEEN_WRITES: Final = 1.0
_log = logging.getLogger(__name__)


def help_with(place: Workplace, claim: Claim) -> None:
    """Make a piece of somebody's corpus or dataset, then more of the same.

    Until none is left to claim, or until something whole waits for a worker.
    """
    assert claim.parent_id is not None  # it is a piece
    with (
        place.scratch(claim) as directory,
        CorpusChild(place, claim, directory) as child,
    ):
        following: Claim | None = claim
        while following is not None:
            make_piece(place, following, child)
            following = _next(place, claim)


def make_piece(
    place: Workplace,
    claim: Claim,
    child: CorpusChild,
    *,
    beside: Lease | None = None,
    on_tick: Callable[[], object] = lambda: None,
) -> None:
    """One attempt at a piece; its end is written down, whatever it is.

    Args:
        place: Where we are.
        claim: The piece.
        child: Does the work.
        beside: The lease on the whole, where we hold it; the child stops when that is lost too.
        on_tick: Called about every tenth of a second.
    """
    with attempted(place, claim) as heartbeat:
        lease = heartbeat if beside is None else JointLease(heartbeat, beside)
        directory = child.directory / f"{claim.subject_id}-f{claim.fence}"
        try:
            order = _begin(place, claim)
            result = child.do(
                order.task(place, directory),
                lease=lease,
                on_message=_ProgressWriter(place, claim, num_bytes=order.num_bytes).hear,
                on_tick=on_tick,
            )
            prefix = order.store(place, claim, directory)
            heartbeat.stop()
            with place.database.unit_of_work(claim.project_id, write=True) as uow:
                pieces.finish(uow, claim, prefix=prefix, result=result)
                uow.commit()
        except Unfinished as unfinished:
            heartbeat.stop()
            if not heartbeat.is_lost:
                _settle(place, claim, unfinished, is_ours=beside is None or not beside.is_lost)
        except BadData as error:
            heartbeat.stop()
            with place.database.unit_of_work(claim.project_id, write=True) as uow:
                pieces.fail(
                    uow, claim, code=error.error_code, message=error.message, param=error.param
                )
                uow.commit()
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def claim_piece(place: Workplace, uow: UnitOfWork, parent_id: str) -> Claim | None:
    """Take the next piece of something, if one can be had."""
    return attempts.begin_piece(
        uow,
        parent_id=parent_id,
        process=ProcessIdentity.of(os.getpid()),
        lease_seconds=place.settings.lease_seconds,
    )


def _next(place: Workplace, claim: Claim) -> Claim | None:
    assert claim.parent_id is not None  # it is a piece
    if place.drain.is_set():
        return None
    with place.database.unit_of_work(project_id=None, write=True) as uow:
        if uow.work.waits([claim.queue], but_no_pieces=True):
            return None
        following = claim_piece(place, uow, claim.parent_id)
        uow.commit()
    return following


@dataclass(frozen=True, slots=True)
class _Reading:
    """Files to be read and cleaned."""

    sources: tuple[Source, ...]
    evaluation: Source | None
    options: Mapping[str, Any]
    num_bytes: int

    def task(self, place: Workplace, directory: Path) -> dict[str, Any]:
        files = directory / "files"
        evaluation = self.evaluation
        return {
            "make": "piece",
            "files": [bring(place, source, files) for source in self.sources],
            "evaluation_file": None if evaluation is None else bring(place, evaluation, files),
            "options": self.options,
            "directory": str(directory / "made"),
        }

    def store(self, place: Workplace, claim: Claim, directory: Path) -> str:
        prefix = keys.piece_attempt(claim.subject_id, claim.fence)
        place.store.put_directory(prefix, directory / "made")
        return prefix


@dataclass(frozen=True, slots=True)
class _Encoding:
    """Shards of documents to be encoded."""

    corpus_id: str
    tokenizer_id: str
    shards: tuple[str, ...]
    prefix: str
    num_bytes: int

    def task(self, place: Workplace, directory: Path) -> dict[str, Any]:
        return {
            "make": "shards",
            "corpus": str(bring_shards(place, self.corpus_id, self.shards, directory / "corpus")),
            "tokenizer": str(bring_tokenizer(place, self.tokenizer_id)),
            "shards": list(self.shards),
            "directory": str(directory / "made"),
        }

    def store(self, place: Workplace, claim: Claim, directory: Path) -> str:
        # No fence in the address: whoever has lost the lease can only put the same bytes again.
        del claim
        place.store.put_directory(self.prefix, directory / "made")
        return self.prefix


def _begin(place: Workplace, claim: Claim) -> _Reading | _Encoding:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        piece = pieces.start(uow, claim)
        order = _reading(uow, piece) if piece.stage is PieceStage.READ else _encoding(uow, piece)
        uow.commit()
    return order


def _reading(uow: UnitOfWork, piece: Piece) -> _Reading:
    corpus = uow.corpora.get(piece.parent_id)
    evaluation = corpus.evaluation_file_id
    return _Reading(
        sources=tuple(find_sources(uow, piece.task["files"])),
        evaluation=None if evaluation is None else find_sources(uow, [evaluation])[0],
        options=corpus.options,
        num_bytes=piece.num_bytes,
    )


def _encoding(uow: UnitOfWork, piece: Piece) -> _Encoding:
    dataset = uow.datasets.get(piece.task["dataset"])
    parents = datasets.parents(uow, dataset)
    return _Encoding(
        corpus_id=parents.corpus_id,
        tokenizer_id=parents.tokenizer_id,
        shards=tuple(piece.task["shards"]),
        prefix=dataset.prefix,
        num_bytes=piece.num_bytes,
    )


def _settle(place: Workplace, claim: Claim, unfinished: Unfinished, *, is_ours: bool) -> None:
    if is_ours:
        settle_unfinished(place, claim, unfinished.ending, endings=pieces)
        return
    # We stopped because the whole is somebody else's now; the piece is as good as before.
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        pieces.leave(uow, claim, doorbell=place.doorbell, exit_code=unfinished.ending.exit_code)
        uow.commit()


class _ProgressWriter:
    """Writes progress once a second; a database that is away costs a few figures, no more."""

    def __init__(self, place: Workplace, claim: Claim, *, num_bytes: int) -> None:
        self._place = place
        self._claim = claim
        self._num_bytes = num_bytes
        self._written_at = time.monotonic()

    def hear(self, message: FromChild) -> None:
        """Write it if it is time."""
        now = time.monotonic()
        if not isinstance(message, Progressed) or now - self._written_at < _SECONDS_BETWEEN_WRITES:
            return
        self._written_at = now
        done = pieces.Done(
            num_files=message.files,
            num_records=message.records,
            num_bytes=round(message.fraction * self._num_bytes),
        )
        try:
            with self._place.database.unit_of_work(self._claim.project_id, write=True) as uow:
                pieces.advance(uow, self._claim, done)
                uow.commit()
        except Unavailable as error:
            _log.warning("Progress cannot be written: %s", error)
