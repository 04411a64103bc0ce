"""Signals as messages: they are taken when the caller is ready, never in the middle of something.

A handler could run between any two instructions of the supervisor. Blocked signals wait in the
kernel instead, and :func:`signal.sigtimedwait` also serves as the supervisor's sleep.
"""

from __future__ import annotations

import signal
from types import TracebackType
from typing import Final, Self

STOP_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
_WATCHED: Final = STOP_SIGNALS | {signal.SIGCHLD}


class SignalInbox:
    """Holds back the signals to stop, and a child's death, until they are asked for."""

    def __init__(self) -> None:
        self._mask_before: set[int] = set()

    def __enter__(self) -> Self:
        """Hold signals back from now on."""
        self._mask_before = {int(one) for one in signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Deliver signals as before."""
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask_before)

    def wait(self, seconds: float) -> signal.Signals | None:
        """The next signal to stop, or None when the time is over or a child has died."""
        received = signal.sigtimedwait(_WATCHED, seconds)
        if received is None or received.si_signo not in STOP_SIGNALS:
            return None
        return signal.Signals(received.si_signo)


def unblock() -> None:
    """Undo the inbox in a child, which would otherwise inherit the mask through exec."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
