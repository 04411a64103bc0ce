"""A coordinator and its pieces: it works along, and waits for what others have in hand."""

from __future__ import annotations

from typing import Final

from core.errors import BadData, LeaseLost
from core.lifecycle import PieceStage
from db.tables import Piece
from services.attempts import Claim
from workers.heartbeat import Lease
from workers.kinds.corpus_child import CorpusChild
from workers.kinds.corpus_progress import ProgressBoard
from workers.kinds.pieces import claim_piece, make_piece
from workers.workplace import Workplace

_LOOK_SECONDS: Final = 0.25
"""How often to look whether others have finished, or have left something to be done."""


class AskedToLeave(Exception):
    """This worker is to go; nothing of its own is in hand."""


def work_along(
    place: Workplace,
    claim: Claim,
    stage: PieceStage,
    child: CorpusChild,
    *,
    lease: Lease,
    board: ProgressBoard,
) -> list[Piece]:
    """Make the pieces of a stage, together with whoever else is there.

    Args:
        place: Where we are.
        claim: The whole.
        stage: Its pieces have been planned.
        child: Does our part of the work.
        lease: On the whole.
        board: Told how far all of it is.

    Returns:
        The pieces of the stage, all of them ready.

    Raises:
        BadData: a piece cannot be made; the error is the piece's own.
        AskedToLeave: others go on.
        LeaseLost: the whole is somebody else's.
    """
    while True:
        if lease.is_lost:
            raise LeaseLost(f"Work {claim.work_id!r} is no longer ours.")
        if place.drain.is_set():
            raise AskedToLeave
        with place.database.unit_of_work(claim.project_id) as uow:
            tally = uow.pieces.tally(claim.subject_id, stage)
            failed = uow.pieces.find_failed(claim.subject_id) if tally.num_failed else None
            if tally.num_ready == tally.num_pieces:
                return uow.pieces.of_parent(claim.subject_id, stage)
        if failed is not None and failed.error is not None:
            raise BadData(
                failed.error["message"], code=failed.error["code"], param=failed.error["param"]
            )
        _make_one(place, claim, child, lease=lease, board=board)


def _make_one(
    place: Workplace, claim: Claim, child: CorpusChild, *, lease: Lease, board: ProgressBoard
) -> None:
    """Make the next piece, or wait a moment where others have all that is left."""
    with place.database.unit_of_work(project_id=None, write=True) as uow:
        piece = claim_piece(place, uow, claim.subject_id)
        uow.commit()
    if piece is None:
        board.write()
        place.drain.wait(_LOOK_SECONDS)
        return
    make_piece(place, piece, child, beside=lease, on_tick=board.write)
