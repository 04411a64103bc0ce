"""Queries on events."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from sqlalchemy import Select, func, select

from core.errors import InvalidRequest
from db.repositories.scope import Order, Page, Scope
from db.tables import Event

_ID = re.compile(r"event_([0-7][0-9a-f]{15})[0-9a-f]{8}")  # 63 bits: what a database counts to


def event_id(project_id: str, number: int) -> str:
    """The id of a project's event: ids of one project sort as their numbers do."""
    project = hashlib.sha256(project_id.encode()).hexdigest()[:8]
    return f"event_{number:016x}{project}"


def event_number(identifier: str) -> int | None:
    """The number in an event's id; None if it is no such id."""
    match = _ID.fullmatch(identifier)
    return int(match[1], 16) if match else None


class EventRepository:
    """What happened in a project; written by ``UnitOfWork.record_event`` alone."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._session = scope.session

    def read_after(
        self, number: int, *, job_id: str | None = None, limit: int = 100
    ) -> list[Event]:
        """The events that follow a number, in the order of commits; 0 means from the first."""
        query = self._owned(job_id=job_id).where(Event.number > number)
        return list(self._session.scalars(query.order_by(Event.number).limit(limit)))

    def latest_number(self, *, job_id: str | None = None) -> int:
        """The number of the latest event; 0 if there is none."""
        query = select(func.max(Event.number)).where(Event.project_id == self._scope.project_id)
        if job_id is not None:
            query = query.where(Event.job_id == job_id)
        return self._session.scalar(query) or 0

    def page(
        self,
        *,
        limit: int = 20,
        after: str | None = None,
        order: Order = "desc",
        job_id: str | None = None,
        types: Sequence[str] = (),
    ) -> Page[Event]:
        """A stretch of the project's events.

        Args:
            limit: The most events.
            after: The id of the event before the first.
            order: Oldest or newest first.
            job_id: Only this job's.
            types: Only of these types; none means any.

        Raises:
            InvalidRequest: ``after`` is not the id of an event.
        """
        query = self._owned(job_id=job_id)
        if after is not None:
            number = event_number(after)
            if number is None:
                raise InvalidRequest(f"after: {after!r} is not the id of an event.", param="after")
            query = query.where(Event.number > number if order == "asc" else Event.number < number)
        if types:
            query = query.where(Event.type.in_(types))
        query = query.order_by(Event.number.asc() if order == "asc" else Event.number.desc())
        return Page.cut(list(self._session.scalars(query.limit(limit + 1))), limit=limit)

    def _owned(self, *, job_id: str | None = None) -> Select[Event]:
        query = select(Event).where(Event.project_id == self._scope.project_id)
        return query if job_id is None else query.where(Event.job_id == job_id)
