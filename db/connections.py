"""How connections are made: the settings that each engine needs to keep its promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Pool, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from core.errors import InvalidRequest
from db.base import dump_json

BUSY_TIMEOUT_MILLISECONDS: Final = 30_000
"""How long an SQLite writer waits for its turn."""

_WRITES: Final = "pretrainer_writes"
_POSTGRESQL_OPTIONS: Final = (
    "-c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s "
    "-c idle_in_transaction_session_timeout=60s"
)


def parse_url(url: str) -> URL:
    """The URL with the one driver that we use for its engine.

    Raises:
        InvalidRequest: neither an SQLite file nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidRequest(
            f"The database URL cannot be read: {error}", param="database_url"
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise InvalidRequest(
        f"The database is {parsed.render_as_string()!r}; it must be sqlite:///<file> or "
        "postgresql://<user>@<host>/<name>",
        param="database_url",
    )


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite database; None for PostgreSQL."""
    if url.get_backend_name() != "sqlite":
        return None
    assert url.database is not None  # parse_url refused it
    return Path(url.database)


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Whether this SQLite's write-ahead log cannot be corrupted by several connections.

    The WAL-reset bug was mended in 3.51.3 and carried back to 3.50.7 and 3.44.6
    (https://sqlite.org/wal.html, "The WAL-reset bug").
    """
    branch, patch = version[:2], version[2:3]
    if branch == (3, 50):
        return patch >= (7,)
    if branch == (3, 44):
        return patch >= (6,)
    return version >= (3, 51, 3)


def open_engine(url: URL, *, poolclass: type[Pool] | None = None, patient: bool = False) -> Engine:
    """An engine for ``url``; ``patient`` lifts the time limits, as a migration needs.

    A begun transaction of `for_writing` holds SQLite's write lock from its first statement; one of
    `for_reading` cannot write at all.
    """
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url, poolclass=poolclass)
    return _open_postgresql(url, poolclass=poolclass, patient=patient)


def for_writing(engine: Engine) -> Engine:
    """The same pool; transactions may write."""
    return engine.execution_options(**{_WRITES: True})


def for_reading(engine: Engine) -> Engine:
    """The same pool; transactions that write are refused by the database."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_WRITES: False})
    return engine.execution_options(postgresql_readonly=True)


def _open_postgresql(url: URL, *, poolclass: type[Pool] | None, patient: bool) -> Engine:
    sizes: dict[str, Any] = {"pool_size": 10, "max_overflow": 20} if poolclass is None else {}
    return create_engine(
        url,
        poolclass=poolclass,
        json_serializer=dump_json,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 10,
            "options": "-c timezone=UTC" if patient else _POSTGRESQL_OPTIONS,
        },
        **sizes,
    )


def _open_sqlite(url: URL, *, poolclass: type[Pool] | None) -> Engine:
    # Imported here: on PostgreSQL nobody needs it. It bundles a current SQLite, where Python's own
    # `sqlite3` is linked with whatever the system has.
    from pysqlite3 import dbapi2  # type: ignore[import-untyped]  # noqa: PLC0415

    sizes: dict[str, Any] = {"pool_size": 10, "max_overflow": 40} if poolclass is None else {}
    engine = create_engine(
        url, module=dbapi2, poolclass=poolclass, json_serializer=dump_json, **sizes
    )
    journal_mode = "WAL" if has_safe_wal(dbapi2.sqlite_version_info) else "TRUNCATE"

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        # Ours to begin: the driver's implicit BEGIN is deferred, and a deferred transaction that
        # turns from reading to writing fails at once when another has written in between.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MILLISECONDS}")
        cursor.execute(f"PRAGMA journal_mode = {journal_mode}")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, True)
        connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN DEFERRED")

    return engine
