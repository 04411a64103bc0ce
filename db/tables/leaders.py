"""Leaders: which process does what only one needs to do."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class Leader(Base):
    """The process that leads in something until it has been silent for too long."""

    __tablename__ = "leaders"

    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    until: Mapped[datetime]
