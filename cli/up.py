"""`pretrainer up`: the whole service on one machine, in one directory, by one command."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from signal import Signals
from typing import Final
from urllib.parse import urlsplit

from cli import commands, leftovers, listening, log_files
from cli.console import complain, say
from cli.data_dir import DataDirectory
from cli.log_config import write_log_config
from cli.signals import SignalInbox
from cli.supervisor import ChildSpec, FalseStart, Supervisor
from cli.valkey import PrivateValkey
from core.errors import InvalidRequest
from core.queues import CORPUS_QUEUE
from core.settings import Settings
from workers.lifeline import PARENT_VARIABLE

_BROKER: Final = "broker"
_API: Final = "api"
_WORKERS: Final = {"worker-corpus": "corpus", "worker-train": "train"}
_MOST_CORPUS_RUNNERS: Final = 4
"""Each reads a piece of text at a time and needs up to a gigabyte; training shares the machine."""
_DRAIN_MARGIN_SECONDS: Final = 15.0
"""What a worker needs besides saving: to report, and to end."""
_API_STOP_SECONDS: Final = 10.0
_BROKER_STOP_SECONDS: Final = 10.0
_PROBE_SECONDS: Final = 2.0


def up(settings: Settings) -> int:
    """Run the service until a signal; returns the exit status.

    Raises:
        Conflict: the data directory or the port is in use.
        InvalidRequest: the host must not or cannot be listened on.
    """
    if sys.platform != "linux":
        raise InvalidRequest("`pretrainer up` needs Linux; elsewhere use docker-compose.yml.")
    os.environ.pop(PARENT_VARIABLE, None)  # it speaks of this process, not of its children
    listening.refuse_exposure_without_keys(settings)
    with DataDirectory(settings.data_dir) as directory, SignalInbox() as inbox:
        for name in leftovers.kill_leftovers(directory.path):
            say(name, "an earlier one was still running and has been killed")
        with listening.bind(settings.host, settings.port) as listener:
            say("data", str(directory.path))
            directory.describe_owner(f"process {os.getpid()}, {listening.url_of(listener)}")
            return _serve(settings, inbox=inbox, listener=listener)


def _serve(settings: Settings, *, inbox: SignalInbox, listener: socket.socket) -> int:
    valkey = PrivateValkey(settings.data_dir)
    supervisor = Supervisor(
        inbox,
        data_dir=settings.data_dir,
        environment=_environment(settings, listener=listener, valkey=valkey),
    )
    try:
        return _run(settings, supervisor=supervisor, listener=listener, valkey=valkey)
    finally:
        valkey.remove_socket()


def _run(
    settings: Settings, *, supervisor: Supervisor, listener: socket.socket, valkey: PrivateValkey
) -> int:
    stop_order = [list(_WORKERS), [_API], [_BROKER]]
    try:
        received = _start(settings, supervisor=supervisor, listener=listener, valkey=valkey)
    except FalseStart as failure:
        complain(str(failure))
        for line in log_files.tail(failure.log):
            complain(f"    {line}")
        supervisor.stop(groups=stop_order)
        return 1
    if received is None:
        say("ready", f"{listening.url_of(listener)}  (/docs explains; Ctrl-C stops)")
        received = supervisor.watch(until=lambda: False, is_starting=False)
    assert received is not None  # only a signal ends the watch
    say("pretrainer", f"{received.name}: stopping after saving what runs; once more kills")
    ended_well = supervisor.stop(groups=stop_order)
    say("pretrainer", "stopped" if ended_well else "stopped by force; what was saved is kept")
    return 0 if ended_well else 1


def _start(
    settings: Settings, *, supervisor: Supervisor, listener: socket.socket, valkey: PrivateValkey
) -> Signals | None:
    """Start everything; returns when it is ready, or a signal to stop that came before."""
    valkey.socket.unlink(missing_ok=True)
    supervisor.start(ChildSpec(_BROKER, command=valkey.command, stop_seconds=_BROKER_STOP_SECONDS))
    supervisor.run_once("migrate", commands.migrate_command())
    received = supervisor.watch(until=valkey.socket.exists, is_starting=True)
    if received is not None:
        return received
    where = ("--fd", str(listener.fileno()))
    supervisor.start(
        ChildSpec(
            _API,
            command=commands.api_command(
                where, settings=settings, log_config=write_log_config(settings)
            ),
            stop_seconds=_API_STOP_SECONDS,
            inherited_fds=(listener.fileno(),),
        )
    )
    for name, queue in _WORKERS.items():
        supervisor.start(
            ChildSpec(
                name,
                command=commands.worker_command(
                    [queue], settings=settings, concurrency=_concurrency(queue)
                ),
                stop_seconds=settings.drain_seconds + _DRAIN_MARGIN_SECONDS,
            )
        )
    url = listening.url_of(listener)
    return supervisor.watch(until=lambda: _is_ready(url), is_starting=True)


def _concurrency(queue: str) -> int:
    """How much of a queue is done at a time: text on every core, training one job a device."""
    if queue != CORPUS_QUEUE:
        return 1
    return min(len(os.sched_getaffinity(0)), _MOST_CORPUS_RUNNERS)


def _environment(
    settings: Settings, *, listener: socket.socket, valkey: PrivateValkey
) -> dict[str, str]:
    """What every process of this service must know, beside what the operator has set."""
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PRETRAINER_DATA_DIR": str(settings.data_dir),
        "PRETRAINER_DATABASE_URL": settings.database_url,
        "PRETRAINER_BROKER_URL": valkey.url,
        "PRETRAINER_STORE_URL": settings.store_url,
        "PRETRAINER_HOST": settings.host,
        "PRETRAINER_PORT": str(listener.getsockname()[1]),
    }


def _is_ready(url: str) -> bool:
    """Whether the API, and everything it needs, answers."""
    address = urlsplit(url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
