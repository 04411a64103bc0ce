"""The one Celery task: somebody rang, so a runner looks what there is to do.

The Celery process never loads torch, owns no lease and touches no row but to clean up after a
runner that was killed. It may look, though.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from functools import cache
from typing import Any, Final

from celery.signals import worker_init, worker_shutting_down

from core.errors import Unavailable
from core.settings import Settings
from db.engine import Database
from services import reconcile
from services.doorbell import RUN_TASK, open_doorbell
from workers.celery_app import app
from workers.lifeline import PARENT_VARIABLE

_log = logging.getLogger(__name__)


class Runners:
    """The runner processes of this Celery worker."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._leaving = threading.Event()

    def run(self, queue_name: str) -> int | None:
        """Run a runner for a queue and wait for it.

        Returns:
            Its exit code, negative for a signal; None if this worker is leaving and the runner has
            not looked: it was not begun, or asked to leave before it could.
        """
        with self._lock:
            if self._leaving.is_set():
                return None
            runner = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "workers.runner", "--queues", queue_name],
                env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
            self._running.add(runner)
        try:
            code = runner.wait()
        finally:
            with self._lock:
                self._running.discard(runner)
        # A runner answers SIGTERM by itself from before its first look at the database.
        return None if self._leaving.is_set() and code == -signal.SIGTERM else code

    def leave(self) -> None:
        """Ask every runner to save and leave, and begin no more."""
        with self._lock:
            self._leaving.set()
            for runner in self._running:
                runner.send_signal(signal.SIGTERM)


runners: Final = Runners()


@app.task(name=RUN_TASK)
def run(queue_name: str) -> None:
    """Do one piece of work of a queue, if there is any."""
    if not something_waits(queue_name):
        return  # somebody who was here already has done it
    code = runners.run(queue_name)
    if code is None:
        _ring(queue_name)
    elif code != 0:
        _log.error("The runner of queue %s ended with %d", queue_name, code)
        free_the_dead()


def something_waits(queue_name: str) -> bool:
    """Whether a runner would find anything; a look costs little, and a runner half a second.

    A corpus rings for each of its pieces, and a worker goes from piece to piece: many rings come
    too late. A database that does not answer is for the runner to wait for.
    """
    try:
        with _database().unit_of_work(project_id=None) as uow:
            return uow.work.waits([queue_name])
    except Unavailable:
        return True


@cache
def _database() -> Database:
    return Database(Settings().database_url)


def free_the_dead() -> None:
    """Free at once what dead processes of this host still hold, instead of when the lease ends."""
    settings = Settings()
    database = Database(settings.database_url)
    doorbell = open_doorbell(settings.broker_url)
    try:
        reconcile.free_leases_of_the_dead(database, doorbell=doorbell)
    finally:
        doorbell.close()
        database.close()


@worker_init.connect
def _clean_up_after_a_crash(**_: Any) -> None:  # noqa: ANN401 - Celery's signals pass anything
    try:
        free_the_dead()
    except Exception:  # noqa: BLE001 - a worker whose database is away still starts; leases run out
        _log.exception("Leases of dead processes could not be freed")


@worker_shutting_down.connect
def _drain(**_: Any) -> None:  # noqa: ANN401 - Celery's signals pass anything
    runners.leave()


def _ring(queue_name: str) -> None:
    doorbell = open_doorbell(Settings().broker_url)
    doorbell.ring([queue_name])
    doorbell.close()
