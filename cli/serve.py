"""`pretrainer api` and `pretrainer worker`: one process each, for whoever supervises his own.

The process becomes the server (exec), so that signals and exit codes are the server's, and `ps`
shows the same command line as under `pretrainer up`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from cli import commands, listening
from cli.log_config import write_log_config
from core.errors import InvalidRequest
from core.settings import Settings


def serve_api(settings: Settings) -> NoReturn:
    """Become the API.

    Raises:
        InvalidRequest: no broker is set, or the host must not be listened on.
    """
    _require_broker(settings, who="An API")
    listening.refuse_exposure_without_keys(settings)
    where = ("--host", settings.host, "--port", str(settings.port))
    log_config = write_log_config(settings)
    _become(commands.api_command(where, settings=settings, log_config=log_config), settings)


def serve_worker(settings: Settings, *, queues: Sequence[str], concurrency: int) -> NoReturn:
    """Become a Celery worker.

    Raises:
        InvalidRequest: no broker is set, or one of ``queues`` is no queue.
    """
    _require_broker(settings, who="A worker")
    command = commands.worker_command(queues, settings=settings, concurrency=concurrency)
    _become(command, settings)


def _require_broker(settings: Settings, *, who: str) -> None:
    """Without one, jobs would be accepted and no worker would ever hear of them."""
    if not settings.broker_url:
        raise InvalidRequest(
            f"{who} needs a broker: set PRETRAINER_BROKER_URL, such as redis://host:6379/0.",
            param="broker_url",
        )


def _become(command: Sequence[str], settings: Settings) -> NoReturn:
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PRETRAINER_DATA_DIR": str(settings.data_dir),
        "PRETRAINER_DATABASE_URL": settings.database_url,
        "PRETRAINER_STORE_URL": settings.store_url,
        "PRETRAINER_HOST": settings.host,
        "PRETRAINER_PORT": str(settings.port),
    }
    os.execve(command[0], list(command), environment)  # noqa: S606 - our own command line
