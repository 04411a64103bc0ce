"""The command line of each process: what it is can be read in `ps`.

`pretrainer api` and `pretrainer worker` become these processes, `pretrainer up` starts them as its
children, and the containers run the former: there is one way to run each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from core.queues import queues_of_worker
from core.settings import Settings

_KEEP_ALIVE_SECONDS = 75
"""Longer than the usual proxy in front keeps a connection, so that it never meets a closed one."""
_GRACEFUL_SECONDS = 5
"""How long open answers may take when the API stops; event streams resume by `Last-Event-ID`."""


def api_command(where: Sequence[str], *, settings: Settings, log_config: Path) -> tuple[str, ...]:
    """The API behind uvicorn; ``where`` is ``--fd N`` or ``--host H --port P``."""
    return (
        *(sys.executable, "-m", "uvicorn", "--factory", "api.app:create_app", *where),
        *("--log-config", str(log_config), "--log-level", settings.log_level),
        *("--timeout-keep-alive", str(_KEEP_ALIVE_SECONDS)),
        *("--timeout-graceful-shutdown", str(_GRACEFUL_SECONDS)),
        *("--no-server-header", "--ws", "none"),
    )


def worker_command(
    queues: Sequence[str], *, settings: Settings, concurrency: int = 1
) -> tuple[str, ...]:
    """A Celery worker; ``queues`` are ``corpus`` and ``train``.

    Raises:
        InvalidRequest: one of them is no queue.
    """
    listened = queues_of_worker(list(queues), num_devices=settings.num_devices)
    return (
        *(sys.executable, "-m", "celery", "-A", "workers.celery_app", "worker"),
        *("--pool", "threads", "--concurrency", str(concurrency), "-Q", ",".join(listened)),
        *("--hostname", f"{'-'.join(queues)}@%h", "--loglevel", settings.log_level),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )


def migrate_command() -> tuple[str, ...]:
    """`pretrainer migrate`."""
    return (sys.executable, "-m", "cli", "migrate")
