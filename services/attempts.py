"""Attempts: a worker takes a piece of work, and later says how it ended.

Locks are taken in one order everywhere: the work's row, then the row of what is worked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from core.lifecycle import AttemptOutcome, WorkKind
from core.processes import ProcessIdentity
from db.repositories.work import ClaimedWork
from db.tables import Attempt, Work
from db.unit_of_work import UnitOfWork

FIRST_RETRY_SECONDS: Final = 5.0
LONGEST_RETRY_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A piece of work that is ours for as long as its fence is unchanged."""

    work_id: str
    project_id: str
    kind: WorkKind
    subject_id: str
    parent_id: str | None
    """Of a piece: what it is a part of."""
    queue: str
    fence: int
    attempt_id: str
    number: int
    """The attempts at this work so far, this one included."""
    previous_outcome: AttemptOutcome | None
    """How the attempt before this one ended; None if this is the first."""
    previous_exit_code: int | None


def begin(
    uow: UnitOfWork, *, queues: Sequence[str], process: ProcessIdentity, lease_seconds: float
) -> Claim | None:
    """Claim the best work of the queues and open an attempt at it; None if nothing waits.

    The attempt counts as fruitless until it commits something new. Earlier attempts without an end
    have been abandoned, or this one could not have begun.
    """
    claimed = uow.work.claim(queues, owner=_owner(process), lease_seconds=lease_seconds)
    return None if claimed is None else _open(uow, claimed, process=process)


def begin_piece(
    uow: UnitOfWork, *, parent_id: str, process: ProcessIdentity, lease_seconds: float
) -> Claim | None:
    """Claim a piece of something and open an attempt at it; None if none waits. See `begin`."""
    claimed = uow.work.claim_part(parent_id, owner=_owner(process), lease_seconds=lease_seconds)
    return None if claimed is None else _open(uow, claimed, process=process)


def _open(uow: UnitOfWork, claimed: ClaimedWork, *, process: ProcessIdentity) -> Claim:
    uow.bind(claimed.project_id)
    close_abandoned(uow, claimed.subject_id, cause="the lease ran out")
    previous = uow.attempts.find_latest(claimed.subject_id)
    work = uow.work.require(claimed.id, fence=claimed.fence)
    work.num_fruitless = claimed.num_fruitless + 1
    attempt = uow.attempts.add(
        Attempt(
            work_id=claimed.id,
            subject_id=claimed.subject_id,
            number=claimed.num_attempts,
            fence=claimed.fence,
            owner=_owner(process),
            host=process.host,
            pid=process.pid,
            pid_started=process.started,
            boot_id=process.boot_id,
            started_at=uow.now(),
        )
    )
    return Claim(
        work_id=claimed.id,
        project_id=claimed.project_id,
        kind=claimed.kind,
        subject_id=claimed.subject_id,
        parent_id=claimed.parent_id,
        queue=claimed.queue,
        fence=claimed.fence,
        attempt_id=attempt.id,
        number=claimed.num_attempts,
        previous_outcome=None if previous is None else previous.outcome,
        previous_exit_code=None if previous is None else previous.exit_code,
    )


def end(
    uow: UnitOfWork,
    claim: Claim,
    *,
    outcome: AttemptOutcome,
    exit_code: int | None = None,
    cause: str | None = None,
) -> None:
    """Write down how the attempt ended."""
    attempt = uow.attempts.get(claim.attempt_id)
    attempt.finished_at = uow.now()
    attempt.outcome = outcome
    attempt.exit_code = exit_code
    attempt.cause = cause


def complete(uow: UnitOfWork, claim: Claim) -> None:
    """The work is done, and so is the attempt.

    Raises:
        LeaseLost: the work is not ours any more.
    """
    uow.work.finish(claim.work_id, fence=claim.fence)
    end(uow, claim, outcome=AttemptOutcome.COMPLETED, exit_code=0)


def fail(uow: UnitOfWork, claim: Claim, *, cause: str, exit_code: int | None = None) -> None:
    """The work cannot be done, now or later.

    Raises:
        LeaseLost: the work is not ours any more.
    """
    uow.work.finish(claim.work_id, fence=claim.fence)
    end(uow, claim, outcome=AttemptOutcome.FAILED, exit_code=exit_code, cause=cause)


def give_back(
    uow: UnitOfWork,
    claim: Claim,
    *,
    exit_code: int | None = None,
    cause: str | None = None,
    waiting_for: str | None = None,
) -> Work:
    """Leave the work to whoever comes next; the attempt does not count.

    Args:
        uow: The transaction.
        claim: Ours until now.
        exit_code: The child's.
        cause: Why.
        waiting_for: What must be ready before anybody goes on.

    Returns:
        The work, to be announced.

    Raises:
        LeaseLost: the work is not ours any more.
    """
    task = uow.work.require(claim.work_id, fence=claim.fence)
    forgive(task)
    uow.work.release(claim.work_id, fence=claim.fence, waiting_for=waiting_for)
    end(uow, claim, outcome=AttemptOutcome.PREEMPTED, exit_code=exit_code, cause=cause)
    return task


def rest(uow: UnitOfWork, task: Work, *, delay_after: int) -> bool:
    """Have work that somebody lost rest before it is tried again.

    Args:
        uow: The transaction.
        task: The work, locked, still under the lost attempt's fence.
        delay_after: The number of fruitless attempts that the rest follows.

    Returns:
        Whether it will be; if not, it has been tried often enough and is finished.
    """
    if task.num_fruitless >= task.max_attempts:
        uow.work.finish(task.id, fence=task.fence)
        return False
    not_before = uow.now() + retry_delay(delay_after)
    uow.work.release(task.id, fence=task.fence, not_before=not_before)
    return True


def exhausted(task: Work, *, cause: str, without: str | None = None) -> str:
    """What a user is told about work that has been tried often enough."""
    fruitless = "have failed" if without is None else f"ended without {without}"
    return f"{task.num_fruitless} attempts in a row {fruitless}; the last: {cause}"


def close_abandoned(uow: UnitOfWork, subject_id: str, *, cause: str) -> None:
    """End the attempts whose owner can no longer do so."""
    for attempt in uow.attempts.unfinished(subject_id):
        attempt.finished_at = uow.now()
        attempt.outcome = AttemptOutcome.ABANDONED
        attempt.cause = cause


def bears_fruit(work: Work) -> None:
    """The attempt has committed something new: those before it are forgiven."""
    work.num_fruitless = 0


def forgive(work: Work) -> None:
    """The attempt that ends here does not count."""
    work.num_fruitless = max(0, work.num_fruitless - 1)


def retry_delay(num_fruitless: int) -> timedelta:
    """How long work rests after so many fruitless attempts in a row: 0 s, 5 s, 10 s, ... 5 min."""
    if num_fruitless <= 0:
        return timedelta(0)
    seconds = FIRST_RETRY_SECONDS * 2 ** min(num_fruitless - 1, 16)
    return timedelta(seconds=min(seconds, LONGEST_RETRY_SECONDS))


def log_path(log_dir: Path, *, subject_id: str, number: int) -> Path:
    """Where the worker's host keeps what the child processes of an attempt wrote."""
    return log_dir / "attempts" / subject_id / f"{number}.log"


def _owner(process: ProcessIdentity) -> str:
    return f"{process.host}:{process.pid}:{process.started}"
