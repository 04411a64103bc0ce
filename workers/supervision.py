"""One child process from its start to its end, with the heartbeat and the stop signals."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.lifecycle import DesiredStatus, ExitCode, StopReason
from workers.children import Child
from workers.heartbeat import Lease
from workers.messages import Done, Failed, Finished, FromChild, Measured

_LISTEN_SECONDS: Final = 0.1
_CANCEL_SECONDS: Final = 3.0
"""A cancelled child saves nothing, so it gets little time to leave by itself."""
HANG_SECONDS: Final = 300.0
_HANG_FACTOR: Final = 10.0
_STEPS_REMEMBERED: Final = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended."""

    exit_code: int
    """Negative for a signal."""
    result: Mapping[str, Any]
    """What its last message said if it did what it was asked."""
    failure: Failed | None
    asked: StopReason | None
    """Why it was asked to stop, if it was."""
    was_killed: bool
    """Whether we killed it: too slow to stop, hanging, or the lease is lost."""

    @property
    def is_done(self) -> bool:
        """Whether it did everything that it was asked to do."""
        return self.exit_code == ExitCode.DONE

    @property
    def has_left(self) -> bool:
        """Whether it ended because it was asked to."""
        return self.asked is not None and (
            self.exit_code == ExitCode.DRAINED or self.exit_code < 0 or self.was_killed
        )

    @property
    def cause(self) -> str:
        """What is known about an end that nobody wished for."""
        if self.failure is not None:
            return self.failure.message
        if self.exit_code < 0:
            return f"its process was killed by signal {-self.exit_code}"
        return f"its process ended with exit code {self.exit_code} and said nothing"


class Pulse:
    """Notices a training loop that stands still: no step for far longer than steps take."""

    def __init__(self, *, hang_seconds: float = HANG_SECONDS) -> None:
        self._hang_seconds = hang_seconds
        self._last: float | None = None
        self._gaps: deque[float] = deque(maxlen=_STEPS_REMEMBERED)

    def hear(self, message: FromChild, now: float) -> None:
        """A message arrived; the watch begins with the first step, after all compilation."""
        if isinstance(message, Measured):
            if self._last is not None:
                self._gaps.append(now - self._last)
            self._last = now
        elif self._last is not None:
            self._last = now

    def hangs(self, now: float) -> bool:
        """Whether the child has been silent for too long."""
        if self._last is None or not self._gaps:
            return False
        allowed = max(self._hang_seconds, _HANG_FACTOR * statistics.median(self._gaps))
        return now - self._last > allowed


def supervise(
    child: Child,
    *,
    heartbeat: Lease,
    drain: threading.Event,
    drain_seconds: float,
    on_message: Callable[[FromChild], None],
    on_tick: Callable[[], object],
) -> Ending:
    """Listen to a child until it ends; pass stop signals on and enforce them.

    It never outlives the call: an error of a callback kills it.

    Args:
        child: Just started.
        heartbeat: Knows the user's wish and whether the work is still ours.
        drain: Set when this worker is asked to leave.
        drain_seconds: How long the child may take to save.
        on_message: Called with every message but the last.
        on_tick: Called about every tenth of a second.
    """
    ending = supervise_task(
        child,
        heartbeat=heartbeat,
        drain=drain,
        drain_seconds=drain_seconds,
        on_message=on_message,
        on_tick=on_tick,
    )
    assert isinstance(ending, Ending)  # such a child has one task, and ends with it
    return ending


def supervise_task(
    child: Child,
    *,
    heartbeat: Lease,
    drain: threading.Event,
    drain_seconds: float,
    on_message: Callable[[FromChild], None],
    on_tick: Callable[[], object],
) -> Finished | Ending:
    """Listen to a child until it has finished a task, or has ended; see `supervise`."""
    watch = _Watch(child, heartbeat=heartbeat, drain=drain, drain_seconds=drain_seconds)
    try:
        return watch.listen(on_message=on_message, on_tick=on_tick)
    except BaseException:
        child.kill()
        child.wait()
        raise


class _Watch:
    """What is known about a child while somebody listens to it."""

    def __init__(
        self, child: Child, *, heartbeat: Lease, drain: threading.Event, drain_seconds: float
    ) -> None:
        self._child = child
        self._heartbeat = heartbeat
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._pulse = Pulse()
        self._last: Done | Failed | None = None
        self._asked: StopReason | None = None
        self._deadline: float | None = None
        self._killed = False

    def listen(
        self, *, on_message: Callable[[FromChild], None], on_tick: Callable[[], object]
    ) -> Finished | Ending:
        while True:
            message = self._child.next_message(timeout_seconds=_LISTEN_SECONDS)
            now = time.monotonic()
            if message is None and self._child.is_silent:
                return self._ending()
            if isinstance(message, Finished) and not self._killed:
                return message
            if isinstance(message, Done | Failed):
                self._last = message
            elif message is not None:
                self._pulse.hear(message, now)
                on_message(message)
            on_tick()
            self._ask(now)
            self._enforce(now)

    def _ask(self, now: float) -> None:
        wish = _wish(self._heartbeat.desired, drain=self._drain.is_set())
        if wish is None or wish is self._asked or self._asked is StopReason.CANCEL:
            return
        self._asked = wish
        is_cancelled = wish is StopReason.CANCEL
        self._deadline = now + (_CANCEL_SECONDS if is_cancelled else self._drain_seconds)
        self._child.ask_to_stop(wish)

    def _enforce(self, now: float) -> None:
        if self._killed:
            return
        is_late = self._deadline is not None and now > self._deadline
        if self._heartbeat.is_lost or is_late:
            self._killed = True
            self._child.kill()
        elif self._pulse.hangs(now):
            _log.error("The child stands still; its stack is in its log")
            self._killed = True
            self._child.kill_with_stack()

    def _ending(self) -> Ending:
        return Ending(
            exit_code=self._child.wait(),
            result=self._last.result if isinstance(self._last, Done) else {},
            failure=self._last if isinstance(self._last, Failed) else None,
            asked=self._asked,
            was_killed=self._killed,
        )


def _wish(desired: DesiredStatus, *, drain: bool) -> StopReason | None:
    if desired is DesiredStatus.CANCELLED:
        return StopReason.CANCEL
    if desired is DesiredStatus.PAUSED:
        return StopReason.PAUSE
    return StopReason.DRAIN if drain else None
