"""Work: what workers can claim, and how it is made known to them."""

from __future__ import annotations

from collections.abc import Iterable

from core.lifecycle import WorkKind
from core.queues import queue_for
from db.tables import Work
from db.unit_of_work import UnitOfWork
from services.doorbell import Doorbell


def add(
    uow: UnitOfWork,
    *,
    kind: WorkKind,
    subject_id: str,
    doorbell: Doorbell,
    devices: int = 1,
    priority: int = 0,
    waiting_for: str | None = None,
    max_attempts: int = 3,
) -> Work:
    """Leave a piece of work for any worker; it is announced after the commit."""
    work = uow.work.add(
        Work(
            kind=kind,
            subject_id=subject_id,
            queue=queue_for(kind, devices=devices),
            priority=priority,
            waiting_for=waiting_for,
            max_attempts=max_attempts,
        )
    )
    if waiting_for is None:
        announce(uow, [work], doorbell=doorbell)
    return work


def announce(uow: UnitOfWork, works: Iterable[Work], *, doorbell: Doorbell) -> None:
    """Ring once for each piece of work that can be claimed, after the commit."""
    queues = [work.queue for work in works if work.waiting_for is None]
    if queues:
        uow.after_commit(lambda: doorbell.ring(queues))
