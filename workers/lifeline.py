"""How a child process dies: with its parent, and before any other process."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

PARENT_VARIABLE: Final = "PRETRAINER_PARENT_PID"
_PR_SET_PDEATHSIG: Final = 1
_MOST_DISPENSABLE: Final = "1000"


def die_with_parent() -> None:
    """Have the kernel kill this process when the parent thread that started it ends.

    Called first thing in a child. The parent's pid comes through the environment, because a parent
    that died before this call has already been replaced by init.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    expected = os.environ.get(PARENT_VARIABLE)
    if expected is not None and os.getppid() != int(expected):
        os._exit(128 + signal.SIGKILL)


def die_first_for_want_of_memory() -> None:
    """Have a kernel without memory kill this process before the API, the broker or a neighbour.

    A model too large for the machine then costs its own job an attempt, and nothing else.
    """
    with contextlib.suppress(OSError):  # no Linux, or no /proc
        Path("/proc/self/oom_score_adj").write_text(_MOST_DISPENSABLE)
