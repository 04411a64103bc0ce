"""The other ranks of a job: started by its trainer, listened to, and never left behind.

Rank 0 is the child that speaks with the runner. The others are children of that child, and of the
same module; of what they say it passes on only why one of them could not go on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from core.errors import RankLost
from core.lifecycle import ExitCode
from workers.adapters import Output
from workers.children import Child
from workers.messages import Failed

_OUR_LOG: Final = Path("/dev/stderr")
_LISTEN_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 10.0
"""In which rank 0 may say itself what it was that ended another one as well; a GPU that waits for a
lost one would wait for ever."""
_ENDS_WELL: Final = frozenset({ExitCode.DONE, ExitCode.DRAINED})


@contextmanager
def other_ranks(
    module: str, directory: Path, *, task: Mapping[str, Any], size: int, output: Output
) -> Iterator[None]:
    """Have ranks 1 to ``size - 1`` at the same task while the block is at it as rank 0.

    Where one of them is lost, so is this process: it says why, and ends.

    Args:
        module: What they run; finds its number as ``rank`` in its task.
        directory: Of rank 0; each of them gets one in it.
        task: Of rank 0.
        size: How many ranks there are.
        output: Where the runner hears from us.
    """
    watch = _Watch(output, size=size)
    children = {
        rank: Child(module, directory / f"rank-{rank}", task={**task, "rank": rank}, log=_OUR_LOG)
        for rank in range(1, size)
    }
    for rank, child in children.items():
        watch.begin(rank, child)
    try:
        yield
    except RankLost:
        watch.end_for_cause()
        raise
    finally:
        watch.leave()
        for child in children.values():  # they write nothing, so they have nothing to finish
            child.kill()
            child.wait()


class _Watch:
    """Waits for ranks that end before rank 0 does."""

    def __init__(self, output: Output, *, size: int) -> None:
        self._output = output
        self._size = size
        self._is_leaving = threading.Event()
        self._is_found = threading.Event()
        self._cause: tuple[int, Failed] | None = None

    def begin(self, rank: int, child: Child) -> None:
        """Watch one more."""
        name = f"rank-{rank}"
        threading.Thread(target=self._watch, args=(rank, child), name=name, daemon=True).start()

    def leave(self) -> None:
        """Whatever ends from now on, ends because we want it to."""
        self._is_leaving.set()

    def end_for_cause(self) -> None:
        """End this process with the cause of another's end, if one comes to light."""
        if self._is_found.wait(_GRACE_SECONDS) and self._cause is not None:
            exit_code, failure = self._cause
            self._output.send(failure)
            os._exit(exit_code)

    def _watch(self, rank: int, child: Child) -> None:
        failure = None
        while not child.is_silent:
            message = child.next_message(timeout_seconds=_LISTEN_SECONDS)
            failure = message if isinstance(message, Failed) else failure
        exit_code = child.wait()
        was_last = failure is not None and failure.code == RankLost.code  # another one was first
        if exit_code in _ENDS_WELL or was_last or self._is_leaving.is_set():
            return
        if failure is None:
            how = f"was killed by signal {-exit_code}" if exit_code < 0 else "ended without a word"
            failure = Failed(code=RankLost.code, message=f"Rank {rank} of {self._size} {how}.")
        self._cause = (exit_code if exit_code > 0 else ExitCode.INTERNAL, failure)
        self._is_found.set()
        if not self._is_leaving.wait(_GRACE_SECONDS):
            self.end_for_cause()
