"""A whole installation for tests as operators run it: hosts that share three URLs, nothing else.

The database, the broker and the store are real servers. Every host is a process with a data
directory of its own, so whatever reaches another host has gone through one of the three.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
from psycopg.sql import SQL, Identifier

from cli.valkey import server_binary
from tests.e2e.service import START_SECONDS, STOP_SECONDS, Api
from tests.postgres import running_postgres
from tests.servers import PASSWORD, free_port, running_server

_OURS = ("PRETRAINER_", "AWS_")


@contextmanager
def running_database() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, owned by a user without privileges."""
    port = free_port()
    with running_postgres(port=port) as server:
        owner = Identifier("pretrainer")
        server.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(owner, PASSWORD))
        server.execute(SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))
        yield f"postgresql://pretrainer:{PASSWORD}@127.0.0.1:{port}/pretrainer"


@contextmanager
def running_broker(directory: Path) -> Iterator[str]:
    """The URL of a Valkey server that asks for a password."""
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", "")
    with running_server(server_binary(), *options, port=port, directory=directory):
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that runs one process of the service."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path

    def end(self) -> int:
        """Ask the process to end, and wait; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def family(self) -> list[psutil.Process]:
        """The process and its descendants."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


class Production(Api):
    """One installation; its processes know the given settings and no others."""

    def __init__(self, directory: Path, *, settings: Mapping[str, str]) -> None:
        self._directory = directory
        self._settings = settings
        self._hosts: list[Host] = []

    def __enter__(self) -> Self:
        """Make the schema and start the API."""
        migration = self.start("migrate", name="migrate")
        assert migration.process.wait(START_SECONDS) == 0, migration.log.read_text()
        port = free_port()
        self.api = self.start("api", "--port", str(port), name="api")
        self.connect(f"http://127.0.0.1:{port}")
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what a test has left; see `end` for the polite way."""
        if hasattr(self, "client"):
            self.client.close()
        for host in self._hosts:
            if host.process.poll() is None:
                for process in host.family():
                    process.kill()
                host.process.wait()

    def start(self, *arguments: str, name: str) -> Host:
        """Run ``pretrainer <arguments>`` on a host of its own."""
        home = self._directory / name
        home.mkdir()
        log = self._directory / f"{name}.log"
        inherited = {key: one for key, one in os.environ.items() if not key.startswith(_OURS)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli", *arguments],
                stdout=output,
                stderr=output,
                cwd=home,
                env={**inherited, **self._settings, "PRETRAINER_DATA_DIR": str(home / "data")},
                start_new_session=True,
            )
        self._hosts.append(Host(process, home / "data", log))
        return self._hosts[-1]

    def start_worker(self, queues: str, *, name: str) -> Host:
        """Run ``pretrainer worker --queues <queues>``."""
        return self.start("worker", "--queues", queues, name=name)

    def end(self) -> None:
        """Ask every process to end, as an init system does; none may be left or killed."""
        running = [host for host in self._hosts if host.process.poll() is None]
        everything = [process for host in running for process in host.family()]
        for host in running:
            # uvicorn shuts down and then ends by the signal that it got, as shells expect.
            assert host.end() == (-signal.SIGTERM if host is self.api else 0), host.log.read_text()
        _, left = psutil.wait_procs(everything, timeout=5)
        assert not left
