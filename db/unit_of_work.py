"""One transaction: the repositories it reads and writes through, and the events it leaves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Engine, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from core.errors import NotFound, Unavailable
from db.repositories.attempts import AttemptRepository
from db.repositories.blobs import BlobRepository
from db.repositories.checkpoints import CheckpointRepository
from db.repositories.corpora import CorpusRepository
from db.repositories.datasets import DatasetRepository
from db.repositories.events import EventRepository, event_id
from db.repositories.files import FileRepository
from db.repositories.jobs import JobRepository
from db.repositories.metrics import MetricRepository
from db.repositories.pieces import PieceRepository
from db.repositories.probes import ProbeRepository
from db.repositories.projects import ProjectRepository
from db.repositories.reservations import ReservationRepository
from db.repositories.scope import Scope
from db.repositories.tokenizers import TokenizerRepository
from db.repositories.upkeep import UpkeepRepository
from db.repositories.uploads import UploadPartRepository, UploadRepository
from db.repositories.work import WorkRepository
from db.tables import Event, EventLevel, Project
from db.time_source import TimeSource

_log = logging.getLogger(__name__)


class UnitOfWork:
    """A transaction of one project.

    Leave the ``with`` block without `commit` and nothing has happened. The database is first
    touched by the first query, so an open unit of work that waits for a client's bytes blocks
    nobody. Rows stay readable after the commit.

        with database.unit_of_work(project_id=project.id, write=True) as uow:
            job = uow.jobs.get(job_id)
            job.name = "second try"
            uow.record_event("job.renamed", message="The job has a new name", job_id=job.id)
            uow.commit()

    Work is claimed across projects: a unit of work without a project offers `work` and `projects`
    alone, and the rest after `bind`.
    """

    def __init__(self, engine: Engine, *, time_source: TimeSource, project_id: str | None) -> None:
        self.session = Session(engine, expire_on_commit=False, autoflush=True)
        self._time_source = time_source
        self._project_id = project_id
        self._now: datetime | None = None
        self._events: list[Event] = []
        self._after_commit: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        """Begin; nothing is locked yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Undo what was not committed.

        Raises:
            Unavailable: the database could not be reached, or not in time.
        """
        del kind, traceback
        self.session.close()
        if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
            raise Unavailable("The database cannot be reached at the moment.") from error

    @property
    def project_id(self) -> str:
        """The project that everything here belongs to."""
        return self._scope.project_id

    def bind(self, project_id: str) -> None:
        """Turn to the project of a piece of work that was claimed across projects."""
        assert self._project_id in {None, project_id}, "a unit of work has one project"
        self._project_id = project_id

    def now(self) -> datetime:
        """The moment of this unit of work, the same at every call."""
        if self._now is None:
            self._now = self._time_source.read(self.session)
        return self._now

    def record_event(
        self,
        type: str,  # noqa: A002 - the name on the wire
        *,
        message: str,
        level: EventLevel = "info",
        job_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Leave an event that becomes visible, numbered, with the commit."""
        event = Event(type=type, message=message, level=level, job_id=job_id, data=dict(data or {}))
        event.project_id = self.project_id
        self._events.append(event)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the commit has succeeded, and only then.

        What is committed stays so: an exception of the callback is logged and goes no further.
        """
        self._after_commit.append(callback)

    def commit(self) -> None:
        """Make everything durable, then call back."""
        self.session.flush()
        self._number_events()
        self.session.commit()
        callbacks, self._after_commit = self._after_commit, []
        for callback in callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001 - the commit cannot be taken back any more
                _log.exception("A callback after a commit failed")

    def _number_events(self) -> None:
        """Number the events under the project's counter, whose lock is held until the commit.

        Taken last, so that the lock is held shortly and numbers rise in the order of commits.
        """
        if not self._events:
            return
        events, self._events = self._events, []
        moment = self.now()
        counter = self.session.execute(
            update(Project)
            .where(Project.id == self.project_id)
            .values(event_counter=Project.event_counter + len(events))
            .returning(Project.event_counter),
            execution_options={"synchronize_session": False},
        ).scalar_one_or_none()
        if counter is None:
            raise NotFound(f"There is no project {self.project_id!r}.")
        for number, event in enumerate(events, start=counter - len(events) + 1):
            event.number = number
            event.id = event_id(self.project_id, number)
            event.created_at = moment
        self.session.add_all(events)
        self.session.flush()

    @property
    def _scope(self) -> Scope:
        assert self._project_id is not None, "this unit of work is bound to no project"
        return Scope(session=self.session, project_id=self._project_id, now=self.now)

    @property
    def projects(self) -> ProjectRepository:
        """Every project."""
        return ProjectRepository(self.session, now=self.now)

    @property
    def work(self) -> WorkRepository:
        """Work of this project, and claims and leases across projects."""
        return WorkRepository(
            self.session,
            time_source=self._time_source,
            now=self.now,
            project_id=self._project_id,
        )

    @property
    def upkeep(self) -> UpkeepRepository:
        """What the reconciler asks, of every project."""
        return UpkeepRepository(self.session, time_source=self._time_source)

    @property
    def blobs(self) -> BlobRepository:
        """Stored bytes of this project."""
        return BlobRepository(self._scope)

    @property
    def files(self) -> FileRepository:
        """Files of this project."""
        return FileRepository(self._scope)

    @property
    def uploads(self) -> UploadRepository:
        """Files of this project that arrive in parts."""
        return UploadRepository(self._scope)

    @property
    def upload_parts(self) -> UploadPartRepository:
        """What has arrived of them."""
        return UploadPartRepository(self._scope)

    @property
    def reservations(self) -> ReservationRepository:
        """Room that this project keeps for bytes on their way in."""
        return ReservationRepository(self._scope)

    @property
    def corpora(self) -> CorpusRepository:
        """Corpora of this project."""
        return CorpusRepository(self._scope)

    @property
    def tokenizers(self) -> TokenizerRepository:
        """Tokenizers of this project."""
        return TokenizerRepository(self._scope)

    @property
    def datasets(self) -> DatasetRepository:
        """Datasets of this project."""
        return DatasetRepository(self._scope)

    @property
    def pieces(self) -> PieceRepository:
        """Parts of this project's corpora and datasets."""
        return PieceRepository(self._scope)

    @property
    def jobs(self) -> JobRepository:
        """Jobs of this project."""
        return JobRepository(self._scope)

    @property
    def attempts(self) -> AttemptRepository:
        """Attempts at this project's work."""
        return AttemptRepository(self._scope)

    @property
    def checkpoints(self) -> CheckpointRepository:
        """Checkpoints of this project."""
        return CheckpointRepository(self._scope)

    @property
    def probes(self) -> ProbeRepository:
        """What the models of this project's jobs said."""
        return ProbeRepository(self._scope)

    @property
    def metrics(self) -> MetricRepository:
        """Metrics of this project's jobs."""
        return MetricRepository(self._scope)

    @property
    def events(self) -> EventRepository:
        """Events of this project."""
        return EventRepository(self._scope)
