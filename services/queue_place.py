"""Where a queued job stands, and why it has not begun."""

from __future__ import annotations

from dataclasses import dataclass

from core.lifecycle import JobStatus, PieceStage
from db.tables import Job, Work
from db.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a queued job stands and why it has not begun."""

    position: int
    """1 is next."""
    jobs_ahead: int
    waiting_reason: str


def find(uow: UnitOfWork, job: Job) -> QueuePlace | None:
    """Where a job stands in its queue; None unless it is queued."""
    if job.status is not JobStatus.QUEUED:
        return None
    task = uow.work.find_for(job.id)
    if task is None:
        return None
    ahead = uow.work.jobs_ahead(task)
    return QueuePlace(
        position=ahead + 1, jobs_ahead=ahead, waiting_reason=_waiting_reason(uow, task)
    )


def _waiting_reason(uow: UnitOfWork, task: Work) -> str:
    if task.waiting_for is not None:
        noun = task.waiting_for.partition("_")[0]
        progress = _progress_of(uow, task.waiting_for)
        return f"{noun} {task.waiting_for} is still being made ({progress:.0%})"
    if task.not_before is not None and task.not_before > uow.now():
        return f"rests until {task.not_before:%Y-%m-%d %H:%M:%S} UTC after a failed attempt"
    return f"waits for a free worker of queue {task.queue}"


def _progress_of(uow: UnitOfWork, resource_id: str) -> float:
    """How far a corpus, a tokenizer or a dataset is, from 0 to 1."""
    made = uow.corpora.find(resource_id) or uow.tokenizers.find(resource_id)
    if made is not None:
        return made.progress
    encoding = uow.pieces.tally(resource_id, PieceStage.ENCODE)
    return encoding.bytes_done / max(1, encoding.num_bytes)
