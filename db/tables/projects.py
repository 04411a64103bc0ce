"""Projects: who owns what."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from db.base import Base

DEFAULT_PROJECT_ID: Final = "project_default"


class Project(Base):
    """An owner of files, corpora, jobs and keys; nothing is shared between projects."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("project"))
    name: Mapped[str]
    event_counter: Mapped[int] = mapped_column(default=0)
    """The number of the project's latest event; taken last in a transaction."""
    created_at: Mapped[datetime] = mapped_column(init=False)
    storage_quota_bytes: Mapped[int | None] = mapped_column(default=None)
    """The most that its files may take; None means what the settings say."""
