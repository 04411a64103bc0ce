"""Ctrl-C and SIGTERM as requests to save and leave."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Final

from core.lifecycle import StopReason

_LEAVING: Final = b"finishing this step and saving; once more to leave at once\n"


class InterruptSignal:
    """Turns the first Ctrl-C or SIGTERM into a request to save and leave."""

    def __init__(self) -> None:
        """Listen from now on."""
        self._reason: StopReason | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._received)

    def requested(self) -> StopReason | None:
        """DRAIN once a signal has come."""
        return self._reason

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self._reason = StopReason.DRAIN
        signal.signal(number, signal.SIG_DFL)
        # not print: the signal may have come in the middle of one, and a second cannot begin there
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), _LEAVING)
