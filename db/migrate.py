"""Migrations: Alembic, configured in code, run by one process at a time."""

from __future__ import annotations

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, text

from db.connections import open_engine, sqlite_path

_log = logging.getLogger(__name__)
_ADVISORY_LOCK: Final = 7_402_271_965
"""Any number, as long as nobody else locks it in the same database."""


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration; the scripts lie beside this file, wherever it is installed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head_revision() -> str:
    """The schema that this code needs."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    assert head is not None
    return head


def current_revision(connection: Connection) -> str:
    """The schema that a database has; the empty string if it has none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def migrate(url: URL) -> None:
    """Bring the schema up to date; processes that start together take turns.

    A schema of an earlier version in an SQLite file is copied beside it first, under the name of
    its revision.
    """
    engine = open_engine(url, poolclass=NullPool, patient=True)
    path = sqlite_path(url)
    if path is None:
        with engine.connect() as connection:
            # Held until the connection closes, whatever happens in between.
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()
            _upgrade(connection)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _file_lock(path), engine.connect() as connection:
        _copy_before_change(connection, path)
        # A table that is rebuilt is dropped in between, which would cascade to its parts.
        _execute_outside_transaction(connection, "PRAGMA foreign_keys = OFF")
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    command.upgrade(configuration(connection), "head")


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process at the latest."""
    with path.with_name(f"{path.name}.migration-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _copy_before_change(connection: Connection, path: Path) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if revision in {None, head_revision()}:
        return
    copy = path.with_name(f"{path.name}.before-{head_revision()}-at-{revision}")
    copy.unlink(missing_ok=True)
    # VACUUM INTO reads one consistent state, the write-ahead log included; cp would not.
    _execute_outside_transaction(connection, "VACUUM INTO ?", str(copy))
    _log.info("Copied the database to %s before its migration", copy)


def _execute_outside_transaction(connection: Connection, statement: str, *values: str) -> None:
    """SQLite ignores or refuses some statements in a transaction, which SQLAlchemy would begin."""
    cursor = connection.connection.cursor()
    cursor.execute(statement, values)
    cursor.close()
