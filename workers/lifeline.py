"""How a child process dies with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

PARENT_VARIABLE: Final = "PRETRAINER_PARENT_PID"
_PR_SET_PDEATHSIG: Final = 1


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
