"""Saving while training goes on: tensors are copied at once, and a thread writes them."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from training.ports import SavedCheckpoint
from training.saving import Saver
from training.state import TrainingState


class BackgroundSaver:
    """One save at a time; whoever began it asks for its end, and hears there of its errors.

    A context: its end waits for what is still being written, and says nothing about it.
    """

    def __init__(self, saver: Saver) -> None:
        """``saver`` knows what a checkpoint holds."""
        self._saver = saver
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self._pending: Future[SavedCheckpoint] | None = None

    def begin(self, state: TrainingState, *, beside: Mapping[str, Path]) -> None:
        """Copy everything as it is now, and write it from now on; the last save has ended.

        Args:
            state: Where the run stands.
            beside: Files that go into the checkpoint as well, by their names there.
        """
        assert self._pending is None
        snapshot = self._saver.copy(state, beside=beside)
        self._pending = self._writer.submit(self._saver.write, snapshot)

    def finished(self, *, wait: bool = False) -> SavedCheckpoint | None:
        """The checkpoint that has become whole since the last time somebody asked.

        Args:
            wait: Until what is being written is whole.

        Raises:
            OSError: it could not be written.
        """
        pending = self._pending
        if pending is None or not (wait or pending.done()):
            return None
        self._pending = None
        return pending.result()

    def __enter__(self) -> Self:
        """The saver itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing that writes behind."""
        self._writer.shutdown(wait=True)
