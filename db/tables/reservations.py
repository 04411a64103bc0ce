"""Reservations: room in the store that is kept for bytes on their way in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_id
from db.base import Base
from db.tables.owned import Identified


class Reservation(Base, Identified):
    """The room of one request; it goes with the request, or soon after its process has died."""

    __tablename__ = "reservations"

    id: Mapped[str] = mapped_column(primary_key=True, default_factory=lambda: new_id("reservation"))
    num_bytes: Mapped[int]
    num_arrived: Mapped[int] = mapped_column(default=0)
    """How many of them lie on the disk already, so that its free space shows them."""
    is_announced: Mapped[bool] = mapped_column(default=False)
    """Whether the project's quota knows of the bytes already, from the upload they are part of."""
    until: Mapped[datetime] = mapped_column(index=True)
    """When it no longer counts, unless it is renewed before."""
    host: Mapped[str]
    pid: Mapped[int]
    pid_started: Mapped[float]
    boot_id: Mapped[str]
