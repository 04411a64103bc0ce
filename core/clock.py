"""Time as a dependency: whoever needs the time is handed a clock, so that tests can hold it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        return datetime.now(UTC)


def unix_seconds(moment: datetime) -> int:
    """How the wire writes a moment: whole seconds since 1970, rounded down."""
    return int(moment.timestamp())
