"""Queries on projects."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.errors import NotFound
from db.tables import DEFAULT_PROJECT_ID, Project


class ProjectRepository:
    """All projects."""

    def __init__(self, session: Session, *, now: Callable[[], datetime]) -> None:
        self._session = session
        self._now = now

    def add(self, project: Project) -> Project:
        """Insert a new project."""
        project.created_at = self._now()
        self._session.add(project)
        self._session.flush()
        return project

    def find(self, project_id: str) -> Project | None:
        """The project, or None."""
        return self._session.get(Project, project_id)

    def get(self, project_id: str) -> Project:
        """The project.

        Raises:
            NotFound: there is none of this id.
        """
        project = self.find(project_id)
        if project is None:
            raise NotFound(f"There is no project {project_id!r}.")
        return project

    def all(self) -> list[Project]:
        """Every project, oldest first."""
        return list(self._session.scalars(select(Project).order_by(Project.id)))

    def ensure_default(self) -> Project:
        """The project of an installation that knows no others; several may call at once."""
        project = self.find(DEFAULT_PROJECT_ID)
        if project is not None:
            return project
        try:
            with self._session.begin_nested():
                return self.add(Project(id=DEFAULT_PROJECT_ID, name="default"))
        except IntegrityError:  # another process was first
            return self.get(DEFAULT_PROJECT_ID)

    def event_counters(self, project_ids: Collection[str]) -> dict[str, int]:
        """The number of each project's latest event: a cheap way to see whether there are new."""
        query = select(Project.id, Project.event_counter).where(Project.id.in_(project_ids))
        return dict(self._session.execute(query).all())
