"""The next batch, made while the device works on this one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from training.loader import Batch, Loader


class Prefetch:
    """Batches of a loader, whose next one is always being made by a thread.

    What a batch holds depends on its step alone, so that it does not matter who makes it, or when.
    A context: its end waits for what the thread still makes.
    """

    def __init__(self, loader: Loader) -> None:
        """Nothing is made yet."""
        self._loader = loader
        self._maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="loader")
        self._next: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of a step; that of the following one is begun."""
        if self._next is not None and self._next[0] == step:
            batch = self._next[1].result()
        else:
            batch = self._loader.batch(step)
        following = step + 1
        is_last = following == self._loader.num_steps
        self._next = (
            None if is_last else (following, self._maker.submit(self._loader.batch, following))
        )
        return batch

    def __enter__(self) -> Self:
        """The batches themselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop making."""
        self._maker.shutdown(wait=True, cancel_futures=True)
