"""Real databases: an SQLite file, and a PostgreSQL server that lives as long as the session."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.sql import SQL

from db.engine import Database
from db.tables import Project
from tests.integration.fakes import FakeClock
from tests.postgres import PostgresServer, running_postgres

_RESET = (
    "DELETE FROM files",  # first: a blob does not go before what refers to it
    "DELETE FROM uploads",
    "DELETE FROM projects",
    "DELETE FROM leaders",
    "INSERT INTO projects VALUES ('project_default', 'default', 0, now())",
)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


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
    # All but the leader belongs to a project and goes with it; a new database takes a hundred times
    # as long.
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


@pytest.fixture
def other_project(database: Database) -> str:
    """The id of a second project."""
    with database.unit_of_work(None, write=True) as uow:
        project = uow.projects.add(Project(name="other"))
        uow.commit()
        return project.id
