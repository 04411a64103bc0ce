"""What time it is for the database's rows.

Leases are compared between machines, so on PostgreSQL the server's clock decides. SQLite is one
machine, whose clock is handed in, as it is everywhere in tests.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.orm import Session

from core.clock import Clock
from db.base import UtcDateTime


class TimeSource(Protocol):
    """The current moment, for use inside a statement and outside one."""

    def now(self) -> ColumnElement[datetime]:
        """The current moment as a part of a statement."""
        ...

    def shifted(self, by: timedelta) -> ColumnElement[datetime]:
        """The current moment moved by so much, as a part of a statement."""
        ...

    def read(self, session: Session) -> datetime:
        """The current moment as a value."""
        ...


class ServerTime:
    """The clock of the PostgreSQL server, at the start of each statement."""

    def now(self) -> ColumnElement[datetime]:
        """``statement_timestamp()``: unlike ``now()`` it does not stand still in a transaction."""
        return func.statement_timestamp(type_=UtcDateTime())

    def shifted(self, by: timedelta) -> ColumnElement[datetime]:
        """The server computes the sum."""
        seconds = func.make_interval(0, 0, 0, 0, 0, 0, by.total_seconds())
        return func.statement_timestamp(type_=UtcDateTime()).op("+", return_type=UtcDateTime())(
            seconds
        )

    def read(self, session: Session) -> datetime:
        """One small query."""
        return session.scalars(select(self.now())).one()


class ClockTime:
    """A clock that was handed in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> ColumnElement[datetime]:
        """The clock's time as a bound value."""
        return literal(self._clock.now(), UtcDateTime())

    def shifted(self, by: timedelta) -> ColumnElement[datetime]:
        """The sum as a bound value."""
        return literal(self._clock.now() + by, UtcDateTime())

    def read(self, session: Session) -> datetime:
        """What the clock says."""
        del session
        return self._clock.now()
