"""The columns of everything that a project owns."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, MappedAsDataclass, mapped_column


class Owned(MappedAsDataclass, kw_only=True, eq=False):
    """Belongs to a project; both columns are set by the repository's ``add``, by nobody else."""

    project_id: Mapped[str] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), init=False
    )
    created_at: Mapped[datetime] = mapped_column(init=False)


class Identified(Owned, kw_only=True, eq=False):
    """Is found by an id of its own; each table says how new ids are made."""

    id: Mapped[str] = mapped_column(primary_key=True)


class WithMetadata(MappedAsDataclass, kw_only=True, eq=False):
    """Carries the user's own pairs (``metadata`` on the wire; a name that SQLAlchemy reserves)."""

    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", default_factory=dict)
