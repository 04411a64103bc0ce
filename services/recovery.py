"""Attempts that ended without a result: whatever the work is, it is tried again or given up."""

from __future__ import annotations

from core.lifecycle import AttemptOutcome, WorkKind
from db.tables import Work
from db.unit_of_work import UnitOfWork
from services import attempts, job_outcomes, making, pieces, work
from services.attempts import Claim
from services.doorbell import Doorbell


def crashed(
    uow: UnitOfWork, claim: Claim, *, cause: str, exit_code: int | None, doorbell: Doorbell
) -> None:
    """Our own child ended in a way that another attempt may avoid."""
    task = uow.work.require(claim.work_id, fence=claim.fence)
    attempts.end(uow, claim, outcome=AttemptOutcome.FAILED, exit_code=exit_code, cause=cause)
    _settle(uow, task, cause=cause, delay_after=task.num_fruitless, doorbell=doorbell)


def abandoned(uow: UnitOfWork, task: Work, *, cause: str, doorbell: Doorbell) -> None:
    """The owner has vanished, which is rarely the work's fault: the first time it need not rest.

    Args:
        uow: The transaction, bound to the work's project.
        task: The work, locked, still under the vanished owner's fence.
        cause: What is known about the owner.
        doorbell: Rings for the work if it can be claimed at once.
    """
    attempts.close_abandoned(uow, task.subject_id, cause=cause)
    _settle(uow, task, cause=cause, delay_after=task.num_fruitless - 1, doorbell=doorbell)


def _settle(
    uow: UnitOfWork, task: Work, *, cause: str, delay_after: int, doorbell: Doorbell
) -> None:
    match task.kind:
        case WorkKind.JOB:
            settle_lost = job_outcomes.settle_lost
        case WorkKind.PIECE:
            settle_lost = pieces.settle_lost
        case _:
            settle_lost = making.settle_lost
    settle_lost(uow, task, cause=cause, delay_after=delay_after)
    if attempts.retry_delay(delay_after).total_seconds() == 0:
        work.announce(uow, [task], doorbell=doorbell)
