"""Waiting for news: one poller a process, however many clients wait.

The poller asks the database for one number a project, the count of its events, and only while
somebody waits. Whoever is woken reads what is new for itself, from the table, so that nothing is
skipped or doubled, whatever happened in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from starlette.concurrency import run_in_threadpool

from core.errors import Unavailable
from db.engine import Database

POLL_SECONDS: Final = 0.25
_log = logging.getLogger(__name__)


def event_counters(database: Database) -> Callable[[Collection[str]], Mapping[str, int]]:
    """How many events each project has, as the database knows it now."""

    def read(project_ids: Collection[str]) -> Mapping[str, int]:
        with database.unit_of_work(None) as uow:
            return uow.projects.event_counters(project_ids)

    return read


class EventWatch:
    """Wakes who waits for a project's next event."""

    def __init__(
        self,
        read_counters: Callable[[Collection[str]], Mapping[str, int]],
        *,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._read = read_counters
        self._poll_seconds = poll_seconds
        self._waiting: Counter[str] = Counter()
        self._seen: dict[str, int] = {}
        self._news = asyncio.Condition()
        self._poller: asyncio.Task[None] | None = None
        self._wakers: set[asyncio.Task[None]] = set()
        self.num_listeners = 0
        self.is_closing = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Count a stream as open."""
        self.num_listeners += 1
        try:
            yield
        finally:
            self.num_listeners -= 1

    async def wait(self, project_id: str, *, after: int, timeout_seconds: float) -> bool:
        """Wait until the project has more than ``after`` events.

        Returns:
            Whether it has; False when the time is over, and at once when the process is to stop.
        """
        if self.is_closing:
            return False
        self._waiting[project_id] += 1
        self._start()
        try:
            async with asyncio.timeout(timeout_seconds), self._news:
                await self._news.wait_for(
                    lambda: self.is_closing or self._seen.get(project_id, 0) > after
                )
        except TimeoutError:
            return False
        finally:
            self._waiting[project_id] -= 1
            if not self._waiting[project_id]:
                del self._waiting[project_id]
        return not self.is_closing

    def stop(self) -> None:
        """Send everybody home who waits, now and from now on; call it in the event loop."""
        self.is_closing = True
        waker = asyncio.get_running_loop().create_task(self._wake())
        self._wakers.add(waker)
        waker.add_done_callback(self._wakers.discard)

    async def close(self) -> None:
        """Stop polling."""
        if self._poller is not None:
            self._poller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poller

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _start(self) -> None:
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="event-watch")

    async def _poll(self) -> None:
        while self._waiting:
            try:
                counters = await run_in_threadpool(self._read, list(self._waiting))
            except Unavailable:
                _log.warning("The database is away; waiting clients hear nothing for now")
            else:
                async with self._news:
                    self._seen.update(counters)
                    self._news.notify_all()
            await asyncio.sleep(self._poll_seconds)
