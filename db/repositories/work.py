"""Queries on work: who may do what until when.

A lease is an owner, a moment and a fence. Each claim raises the fence; every later write of the
owner names its fence and must meet the row as its owner left it. Whoever was stopped for longer
than the lease finds another fence, and his writes are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.errors import LeaseLost
from core.lifecycle import DesiredStatus, WorkKind
from db.tables import Work
from db.time_source import TimeSource

_NO_SYNC = {"synchronize_session": False}


@dataclass(frozen=True, slots=True)
class ClaimedWork:
    """A piece of work that is ours until ``lease_until``, and later if we extend it."""

    id: str
    project_id: str
    kind: WorkKind
    subject_id: str
    parent_id: str | None
    queue: str
    fence: int
    lease_until: datetime
    num_attempts: int
    """Claims so far, this one included: the number of the attempt that begins."""
    num_fruitless: int
    max_attempts: int


class WorkRepository:
    """The work of a project, and claims and leases across projects."""

    def __init__(
        self,
        session: Session,
        *,
        time_source: TimeSource,
        now: Callable[[], datetime],
        project_id: str | None,
    ) -> None:
        self._session = session
        self._time = time_source
        self._now = now
        self._project_id = project_id

    # Of one project

    def add(self, work: Work) -> Work:
        """Insert a new piece of work as the project's own."""
        work.project_id = self._bound_project
        work.created_at = self._now()
        self._session.add(work)
        self._session.flush()
        return work

    def find_for(self, subject_id: str, *, lock: bool = False) -> Work | None:
        """The work on something of the project, or None.

        With ``lock`` nobody else claims, extends or ends it until this transaction does.
        """
        query = select(Work).where(
            Work.subject_id == subject_id, Work.project_id == self._bound_project
        )
        if lock:
            query = query.with_for_update(key_share=True)
            query = query.execution_options(populate_existing=True)
        return self._session.scalars(query).one_or_none()

    def jobs_ahead(self, work: Work) -> int:
        """How many pieces of work, of any project, will be claimed from the queue before this one.

        Its position in the queue is one more.
        """
        sooner = or_(
            Work.priority > work.priority,
            and_(Work.priority == work.priority, Work.id < work.id),
        )
        query = select(func.count(Work.id)).where(
            Work.queue == work.queue, self._free(), Work.waiting_for.is_(None), sooner
        )
        return self._session.scalar(query) or 0

    def delete(self, work: Work) -> None:
        """Remove the work and its attempts."""
        self._session.delete(work)
        self._session.flush()

    def delete_parts(self, parent_id: str) -> None:
        """Remove the work on every piece of something; whoever is at one loses its lease."""
        self._session.execute(
            delete(Work).where(Work.parent_id == parent_id, Work.project_id == self._bound_project),
            execution_options=_NO_SYNC,
        )

    def bears_fruit(self, subject_id: str) -> None:
        """Forgive the earlier attempts at something: a part of it has been made."""
        self._session.execute(
            update(Work)
            .where(
                Work.subject_id == subject_id,
                Work.project_id == self._bound_project,
                Work.finished_at.is_(None),
                Work.num_fruitless > 0,
            )
            .values(num_fruitless=0),
            execution_options=_NO_SYNC,
        )

    @property
    def _bound_project(self) -> str:
        assert self._project_id is not None, "this unit of work is bound to no project"
        return self._project_id

    # The owner's side, across projects

    def claim(
        self, queues: Sequence[str], *, owner: str, lease_seconds: float
    ) -> ClaimedWork | None:
        """Take the best eligible work of the queues, or None if there is none.

        One statement: of several workers that claim at once, each gets another piece. Work whose
        owner let the lease run out is eligible like any other.

        Args:
            queues: Where to look.
            owner: Who claims; unique among all processes that ever claim.
            lease_seconds: For how long; see `extend`.
        """
        return self._claim(Work.queue.in_(queues), owner=owner, lease_seconds=lease_seconds)

    def claim_part(self, parent_id: str, *, owner: str, lease_seconds: float) -> ClaimedWork | None:
        """Take the first eligible piece of something; see `claim`."""
        return self._claim(Work.parent_id == parent_id, owner=owner, lease_seconds=lease_seconds)

    def waits(self, queues: Sequence[str], *, but_no_pieces: bool = False) -> bool:
        """Whether anybody could claim anything of these queues now."""
        query = select(Work.id).where(Work.queue.in_(queues), self._eligible())
        if but_no_pieces:
            query = query.where(Work.parent_id.is_(None))
        return self._session.scalar(query.limit(1)) is not None

    def extend(self, work_id: str, *, fence: int, lease_seconds: float) -> DesiredStatus:
        """Keep the work for ``lease_seconds`` from now, and hear what the user wants of it.

        An owner who comes late but before anybody else goes on.

        Raises:
            LeaseLost: it is not ours any more.
        """
        until = self._time.shifted(timedelta(seconds=lease_seconds))
        desired: DesiredStatus = self._write(
            work_id, fence, update(Work).values(lease_until=until).returning(Work.desired_status)
        )
        return desired

    def require(self, work_id: str, *, fence: int) -> Work:
        """The work, held against everybody until this transaction ends.

        The first statement of every transaction in which an owner writes.

        Raises:
            LeaseLost: it is not ours any more.
        """
        query = (
            select(Work)
            .where(*_held(work_id, fence))
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        work = self._session.scalars(query).one_or_none()
        if work is None:
            raise _lost(work_id, fence)
        return work

    def release(
        self,
        work_id: str,
        *,
        fence: int,
        not_before: datetime | None = None,
        num_fruitless: int | None = None,
        waiting_for: str | None = None,
    ) -> None:
        """Give the work back unfinished; it can be claimed again.

        Args:
            work_id: The work.
            fence: Ours.
            not_before: Not to be claimed earlier.
            num_fruitless: The new count of attempts in a row that committed nothing new; None
                leaves it.
            waiting_for: The dataset that turned out to be missing.

        Raises:
            LeaseLost: it is not ours any more.
        """
        values: dict[str, Any] = {"not_before": not_before, "waiting_for": waiting_for}
        if num_fruitless is not None:
            values["num_fruitless"] = num_fruitless
        self._write(work_id, fence, update(Work).values(_FREED | values).returning(Work.id))

    def finish(self, work_id: str, *, fence: int) -> None:
        """End the work for good.

        Raises:
            LeaseLost: it is not ours any more.
        """
        ended = update(Work).values(_FREED | {"finished_at": self._time.now()})
        self._write(work_id, fence, ended.returning(Work.id))

    # Everybody else's side

    def finish_unowned(self, work_id: str) -> bool:
        """End work that nobody holds, such as a cancelled job that has not begun.

        Returns:
            Whether it was so; otherwise the owner hears of the wish at the next `extend`.
        """
        statement = (
            update(Work)
            .where(Work.id == work_id, Work.finished_at.is_(None), self._unleased())
            .values(_FREED | {"finished_at": self._time.now()})
            .returning(Work.id)
        )
        return self._session.scalar(statement, execution_options=_NO_SYNC) is not None

    def set_desired(self, work_id: str, desired: DesiredStatus) -> None:
        """Say what the user wants of unfinished work."""
        self._session.execute(
            update(Work)
            .where(Work.id == work_id, Work.finished_at.is_(None))
            .values(desired_status=desired),
            execution_options=_NO_SYNC,
        )

    def unblock(self, waiting_for: str) -> list[Work]:
        """Let go whatever waits for this.

        Returns:
            The pieces of work, of any project, that waited. Their status columns say whether
            somebody can claim them now.
        """
        statement = (
            update(Work)
            .where(Work.waiting_for == waiting_for, Work.finished_at.is_(None))
            .values(waiting_for=None)
            .returning(Work)
        )
        rows = self._session.scalars(
            statement, execution_options={"synchronize_session": False, "populate_existing": True}
        )
        return sorted(rows, key=lambda work: work.id)

    def waiting_for(self, resource_id: str) -> list[Work]:
        """The unfinished pieces of work, of any project, that wait for something.

        Locked, because whoever asks goes on to the rows of what is worked on.
        """
        query = (
            select(Work)
            .where(Work.waiting_for == resource_id, Work.finished_at.is_(None))
            .order_by(Work.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return list(self._session.scalars(query))

    def expired(self, *, limit: int = 100) -> list[Work]:
        """Work whose owner let the lease run out; see `find_held` for whether it is still so."""
        query = (
            select(Work)
            .where(
                Work.finished_at.is_(None),
                Work.owner.is_not(None),
                Work.lease_until <= self._time.now(),
            )
            .order_by(Work.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def find_held(self, work_id: str, *, fence: int, expired_only: bool = False) -> Work | None:
        """The work if its owner is still the one of this fence, locked; None otherwise.

        With ``expired_only`` also None if the owner has extended the lease meanwhile.
        """
        query = select(Work).where(*_held(work_id, fence))
        if expired_only:
            query = query.where(Work.lease_until <= self._time.now())
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
        return self._session.scalars(query).one_or_none()

    def unclaimed(self, *, older_than: timedelta, limit: int = 100) -> list[Work]:
        """Eligible work for which nobody has rung since ``older_than`` ago."""
        told = func.coalesce(Work.rung_at, Work.created_at)
        query = (
            select(Work)
            .where(self._eligible(), told <= self._time.shifted(-older_than))
            .order_by(Work.priority.desc(), Work.id)
            .limit(limit)
        )
        return list(self._session.scalars(query))

    def mark_rung(self, work_ids: Collection[str]) -> None:
        """Workers have been told that these wait."""
        self._session.execute(
            update(Work).where(Work.id.in_(work_ids)).values(rung_at=self._time.now()),
            execution_options=_NO_SYNC,
        )

    def _claim(
        self, condition: ColumnElement[bool], *, owner: str, lease_seconds: float
    ) -> ClaimedWork | None:
        best = (
            select(Work.id)
            .where(condition, self._eligible())
            .order_by(Work.priority.desc(), Work.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        claim = (
            update(Work)
            .where(Work.id == best)
            .values(
                owner=owner,
                fence=Work.fence + 1,
                lease_until=self._time.shifted(timedelta(seconds=lease_seconds)),
                num_attempts=Work.num_attempts + 1,
                not_before=None,
            )
            .returning(*(getattr(Work, field.name) for field in fields(ClaimedWork)))
        )
        row = self._session.execute(claim, execution_options=_NO_SYNC).one_or_none()
        return None if row is None else ClaimedWork(**row._asdict())

    # Conditions

    def _eligible(self) -> ColumnElement[bool]:
        return and_(
            self._free(),
            Work.waiting_for.is_(None),
            Work.num_fruitless < Work.max_attempts,  # else the reconciler ends it
            or_(Work.not_before.is_(None), Work.not_before <= self._time.now()),
        )

    def _free(self) -> ColumnElement[bool]:
        """Unfinished, wanted, and held by nobody."""
        return and_(
            Work.finished_at.is_(None),
            Work.desired_status == DesiredStatus.RUNNING,
            self._unleased(),
        )

    def _unleased(self) -> ColumnElement[bool]:
        return or_(Work.lease_until.is_(None), Work.lease_until <= self._time.now())

    def _write(self, work_id: str, fence: int, statement: Any) -> Any:  # noqa: ANN401
        """Carry out an owner's update and return what it returns."""
        fenced = statement.where(*_held(work_id, fence))
        returned = self._session.scalars(fenced, execution_options=_NO_SYNC).one_or_none()
        if returned is None:
            raise _lost(work_id, fence)
        return returned


_FREED: dict[str, Any] = {"owner": None, "lease_until": None}


def _held(work_id: str, fence: int) -> Sequence[ColumnElement[bool]]:
    """The row, as long as the owner of this fence has neither lost it nor given it back."""
    return (
        Work.id == work_id,
        Work.fence == fence,
        Work.owner.is_not(None),
        Work.finished_at.is_(None),
    )


def _lost(work_id: str, fence: int) -> LeaseLost:
    return LeaseLost(f"Work {work_id!r} is not held under fence {fence} any more.")
