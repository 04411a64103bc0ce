"""A corpus process that does one task after another for its runner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.attempts import Claim
from workers.children import Child, engine_environment
from workers.heartbeat import Lease
from workers.messages import Finished, FromChild
from workers.supervision import Ending, supervise_task
from workers.workplace import Workplace

_log = logging.getLogger(__name__)


class Unfinished(Exception):
    """The process ended before its task did."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.cause)
        self.ending = ending


class CorpusChild:
    """Started for the first task, kept for those that follow, killed at the end of the block.

    To start one takes longer than many a task. One that has died is replaced.
    """

    def __init__(self, place: Workplace, claim: Claim, directory: Path) -> None:
        """The child belongs to the attempt of ``claim``, and works within ``directory``."""
        self.directory = directory
        self._place = place
        self._log = place.log_of(claim)
        self._child: Child | None = None

    def do(
        self,
        task: Mapping[str, Any],
        *,
        lease: Lease,
        on_message: Callable[[FromChild], None],
        on_tick: Callable[[], object],
    ) -> Mapping[str, Any]:
        """Have a task done; answers what it has come to.

        It saves nothing halfway, so it is killed as soon as it should stop.

        Args:
            task: See ``workers.corpus_process``.
            lease: Under which it is done.
            on_message: Called with what it says meanwhile.
            on_tick: Called about every tenth of a second.

        Raises:
            Unfinished: the process has ended, in whatever way.
        """
        began_at = time.monotonic()
        child = self._begin(task)
        self._child = None  # until it has finished: whatever else happens, it has ended
        end = supervise_task(
            child,
            heartbeat=lease,
            drain=self._place.drain,
            drain_seconds=0.0,
            on_message=on_message,
            on_tick=on_tick,
        )
        if not isinstance(end, Finished):
            raise Unfinished(end)
        self._child = child
        _log.info("Made %s in %.1f s", task["make"], time.monotonic() - began_at)
        return end.result

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The process has done what it was wanted for."""
        del kind, error, trace
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def _begin(self, task: Mapping[str, Any]) -> Child:
        if self._child is not None:
            self._child.assign(task)
            return self._child
        return Child(
            "workers.corpus_process",
            self.directory,
            task=task,
            log=self._log,
            nice=self._place.settings.trainer_nice,
            environment=engine_environment(),
        )
