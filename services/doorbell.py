"""The doorbell: tells workers that something waits. It may be lost, doubled or late.

The database says what there is to do; a ring only saves a worker from looking. Whoever rings has
committed first and never waits for the broker.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import ChannelError, OperationalError

from core.errors import Unavailable
from core.queues import CORPUS_QUEUE

RUN_TASK: Final = "workers.tasks.run"
"""The name of the only Celery task; its argument is the queue that rang."""

TRANSPORT_OPTIONS: Final = {
    "socket_timeout": 5.0,  # kombu's default waits for ever
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
}
_MOST_PENDING: Final = 1000
"""Rings beyond these are dropped while the broker is away; the reconciler rings again."""
_log = logging.getLogger(__name__)


class Doorbell(Protocol):
    """Wakes workers."""

    def ring(self, queues: Collection[str]) -> None:
        """Tell a worker of each queue that work waits; returns at once and never raises."""
        ...

    def waiting(self, queue_name: str) -> int:
        """How many rings of the queue no worker has heard yet.

        Raises:
            Unavailable: the broker cannot be reached.
        """
        ...

    def check(self) -> None:
        """Return if the broker can be reached.

        Raises:
            Unavailable: it cannot.
        """
        ...

    def close(self) -> None:
        """Give the last rings a moment to go out."""
        ...


class SilentDoorbell:
    """Rings nowhere: for a process that has no broker."""

    def ring(self, queues: Collection[str]) -> None:
        """Do nothing."""

    def waiting(self, queue_name: str) -> int:
        """None ever waits."""
        del queue_name
        return 0

    def check(self) -> None:
        """Silence can always be reached."""

    def close(self) -> None:
        """Nothing is on its way."""


class CeleryDoorbell:
    """Rings by Celery messages, from a thread of its own.

    Use one a process and `close` it at the end, which gives the last rings a moment to go out.
    """

    def __init__(self, broker_url: str) -> None:
        self._app = Celery(broker=broker_url, set_as_current=False)
        self._app.conf.update(
            task_ignore_result=True,
            broker_transport_options=TRANSPORT_OPTIONS,
            broker_connection_timeout=2.0,
        )
        self._pending: queue.Queue[str | None] = queue.Queue(maxsize=_MOST_PENDING)
        self._ringer: threading.Thread | None = None
        self._lock = threading.Lock()

    def ring(self, queues: Collection[str]) -> None:
        """Hand the rings to the thread."""
        self._start()
        for name in queues:
            try:
                self._pending.put_nowait(name)
            except queue.Full:
                _log.warning("The broker is away and too many rings wait; %s is dropped", name)

    def waiting(self, queue_name: str) -> int:
        """The length of the broker's queue.

        Raises:
            Unavailable: the broker cannot be reached.
        """
        with self._connected() as connection:
            try:
                channel: Any = connection.default_channel
                declared = channel.queue_declare(queue_name, passive=True)
            except ChannelError:  # nobody has rung there yet
                return 0
            return int(declared.message_count)

    def check(self) -> None:
        """Ask for the length of a queue.

        Raises:
            Unavailable: the broker cannot be reached.
        """
        self.waiting(CORPUS_QUEUE)

    def close(self, *, timeout_seconds: float = 3.0) -> None:
        """Let the rings that wait go out, for at most so long."""
        with self._lock:
            ringer, self._ringer = self._ringer, None
        if ringer is not None:
            try:
                self._pending.put_nowait(None)
            except queue.Full:
                return
            ringer.join(timeout_seconds)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        connection = self._app.connection_for_write()
        failures = (OperationalError, OSError, *connection.connection_errors)
        try:
            with connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=3)
                yield connection
        except failures as error:
            raise Unavailable(f"The broker cannot be reached: {error}") from error

    def _start(self) -> None:
        with self._lock:
            if self._ringer is None:
                self._ringer = threading.Thread(target=self._send, name="doorbell", daemon=True)
                self._ringer.start()

    def _send(self) -> None:
        while (name := self._pending.get()) is not None:
            try:
                self._app.send_task(RUN_TASK, args=[name], queue=name, retry=False)
            except Exception as error:  # noqa: BLE001 - any driver's; the reconciler rings again
                _log.warning("The doorbell of %s cannot ring: %s", name, error)


def open_doorbell(broker_url: str) -> Doorbell:
    """The doorbell of a broker, or a silent one where there is none."""
    return CeleryDoorbell(broker_url) if broker_url else SilentDoorbell()
