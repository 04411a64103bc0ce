"""The database: where units of work come from."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from core.clock import Clock, SystemClock
from core.errors import Unavailable
from db.connections import for_reading, for_writing, open_engine, parse_url
from db.tables import DEFAULT_PROJECT_ID
from db.time_source import ClockTime, ServerTime, TimeSource
from db.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What ``/readyz`` tells about the database."""

    engine: str
    """``postgresql`` or ``sqlite``."""
    version: str
    journal_mode: str | None
    """SQLite's; WAL only where the linked SQLite is known to be free of the WAL-reset bug."""
    revision: str
    """Of the schema."""


class Database:
    """A database by URL: ``sqlite:///<file>`` or ``postgresql://<user>@<host>/<name>``."""

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        """Connect at the first use.

        Args:
            url: Which database.
            clock: The time of leases and rows. None means the server's own on PostgreSQL and the
                machine's on SQLite.

        Raises:
            InvalidRequest: the URL names neither engine.
        """
        self._url = parse_url(url)
        self._engine = open_engine(self._url)
        self._writing = for_writing(self._engine)
        self._reading = for_reading(self._engine)
        self._time_source: TimeSource
        if clock is None and self._engine.dialect.name == "postgresql":
            self._time_source = ServerTime()
        else:
            self._time_source = ClockTime(clock or SystemClock())

    def unit_of_work(
        self, project_id: str | None = DEFAULT_PROJECT_ID, *, write: bool = False
    ) -> UnitOfWork:
        """A transaction of one project; None begins one that claims work across projects.

        On SQLite a writing one waits for its turn at its first query and then cannot fail for
        another's sake. One that only reads is refused by the database when it writes.
        """
        return UnitOfWork(
            self._writing if write else self._reading,
            time_source=self._time_source,
            project_id=project_id,
        )

    def migrate(self) -> None:
        """Bring the schema up to date and make sure that the default project exists.

        Raises:
            Unavailable: the database does not answer.
        """
        from db.migrate import migrate  # noqa: PLC0415 - see `check`

        try:
            migrate(self._url)
        except OperationalError as error:
            raise Unavailable(f"The database does not answer: {error.orig}") from error
        with self.unit_of_work(project_id=None, write=True) as uow:
            uow.projects.ensure_default()
            uow.commit()

    def check(self) -> DatabaseState:
        """Ask the database how it is.

        Raises:
            Unavailable: it does not answer, or its schema is not the one that this code needs.
        """
        # Alembic takes a fifth of a second to import; runners, begun for each attempt, never ask.
        from db.migrate import current_revision, head_revision  # noqa: PLC0415

        try:
            with self._reading.connect() as connection:
                state = self._state(connection, revision=current_revision(connection))
        except SQLAlchemyError as error:
            raise Unavailable(f"The database does not answer: {error}") from error
        if state.revision != head_revision():
            raise Unavailable(
                f"The database's schema is {state.revision or 'empty'}; this version needs "
                f"{head_revision()}. Run `pretrainer migrate`."
            )
        return state

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _state(self, connection: Connection, *, revision: str) -> DatabaseState:
        is_sqlite = self._engine.dialect.name == "sqlite"
        version = "SELECT sqlite_version()" if is_sqlite else "SHOW server_version"
        return DatabaseState(
            engine=self._engine.dialect.name,
            version=str(connection.scalar(text(version))),
            journal_mode=connection.scalar(text("PRAGMA journal_mode")) if is_sqlite else None,
            revision=revision,
        )
