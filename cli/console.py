"""What a person at the terminal reads: one line an event."""

from __future__ import annotations

import sys
import time


def say(source: str, message: str) -> None:
    """``12:00:00  broker    started``: at once, also through a pipe."""
    print(f"{time.strftime('%H:%M:%S')}  {source:<14} {message}", flush=True)


def complain(message: str) -> None:
    """Why a command ends without having done its work."""
    print(f"pretrainer: {message}", file=sys.stderr, flush=True)
