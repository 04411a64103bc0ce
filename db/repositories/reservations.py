"""Queries on reservations: what is promised, and what is taken."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Select, case, delete, func, select, update

from core.lifecycle import UploadStatus
from db.repositories.owned import OwnedRepository
from db.tables import Blob, Reservation, Upload, UploadPart

_ADVISORY_LOCK: Final = 7_402_271_966
"""Any number, as long as nobody else locks it in the same database."""


class ReservationRepository(OwnedRepository[Reservation]):
    """Room that is kept for bytes on their way in."""

    table = Reservation
    noun = "reservation"
    prefix = "reservation"

    def take_turns(self) -> None:
        """Let nobody else look at the room and take of it until this transaction ends.

        Two that looked at once would both see the same last room. SQLite has one writer anyway.
        """
        if self._session.get_bind().dialect.name == "postgresql":
            self._session.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))

    def renew(
        self, reservation_id: str, *, num_bytes: int, num_arrived: int, until: datetime
    ) -> bool:
        """Go on with a reservation; False if it has been given away."""
        statement = (
            update(Reservation)
            .where(
                Reservation.id == reservation_id,
                Reservation.project_id == self._scope.project_id,
            )
            .values(num_bytes=num_bytes, num_arrived=num_arrived, until=until)
            .returning(Reservation.id)
        )
        found = self._session.scalar(statement, execution_options={"synchronize_session": False})
        return found is not None

    def release(self, reservation_id: str) -> None:
        """Give the room back; nothing happens if it has been given away."""
        self._session.execute(
            delete(Reservation)
            .where(
                Reservation.id == reservation_id,
                Reservation.project_id == self._scope.project_id,
            )
            .execution_options(synchronize_session=False)
        )

    def num_bytes_to_come(self) -> int:
        """How many bytes are still to arrive in room that is kept, in all projects together."""
        left = Reservation.num_bytes - Reservation.num_arrived
        query = select(func.sum(case((left > 0, left), else_=0))).where(
            Reservation.until > self._scope.now()
        )
        return int(self._session.scalar(query) or 0)

    def num_bytes_claimed(self) -> int:
        """How many bytes the project has, is sending, and has announced."""
        stored = select(func.sum(Blob.num_bytes)).where(Blob.project_id == self._scope.project_id)
        sending = self._owned(select(func.sum(Reservation.num_bytes))).where(
            Reservation.until > self._scope.now(), Reservation.is_announced.is_(False)
        )
        queries = (stored, sending, self._still_announced())
        return sum(int(self._session.scalar(query) or 0) for query in queries)

    def _still_announced(self) -> Select[int]:
        """What pending uploads still lack."""
        arrived = (
            select(UploadPart.upload_id, func.sum(UploadPart.num_bytes).label("num_bytes"))
            .where(UploadPart.project_id == self._scope.project_id)
            .group_by(UploadPart.upload_id)
            .subquery()
        )
        left = Upload.num_bytes - func.coalesce(arrived.c.num_bytes, 0)
        return (
            select(func.sum(case((left > 0, left), else_=0)))
            .select_from(Upload)
            .outerjoin(arrived, arrived.c.upload_id == Upload.id)
            .where(
                Upload.project_id == self._scope.project_id,
                Upload.status == UploadStatus.PENDING,
            )
        )
