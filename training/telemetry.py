"""The time that a job has taken, over all its attempts."""

from __future__ import annotations

import time
from collections.abc import Callable


class Stopwatch:
    """Counts seconds on from what earlier attempts took."""

    def __init__(
        self, *, already_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start counting.

        Args:
            already_seconds: What was counted before.
            clock: Seconds from any fixed moment, never going back.
        """
        self._clock = clock
        self._started = clock() - already_seconds

    def seconds(self) -> float:
        """The seconds counted so far."""
        return self._clock() - self._started
