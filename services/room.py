"""Room in the store: kept before the first byte arrives, and never promised twice.

What a project may store is its quota; what the disk may store leaves a floor of free space. Bytes
on their way in have a row in the database, so that uploads into every process are counted together,
and so that the reconciler can give back the room of a process that died.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Final

from core.errors import QuotaExceeded, TooLarge, Unavailable
from core.processes import ProcessIdentity
from core.settings import Settings
from db.engine import Database
from db.tables import Reservation
from db.unit_of_work import UnitOfWork
from storage.base import Store

_STEP: Final = 16 << 20
"""How many bytes arrive between two looks at the free space, or unannounced before they count."""
_RENEW_SECONDS: Final = 5.0
_LIFETIME: Final = timedelta(minutes=30)
"""Longer than the slowest client that is borne with takes between two handfuls of bytes."""


class Room:
    """What of the store is still to be had."""

    def __init__(self, database: Database, store: Store, settings: Settings) -> None:
        self._database = database
        self._store = store
        self._settings = settings

    def reserve(
        self, project_id: str, *, num_bytes: int, max_bytes: int, is_announced: bool = False
    ) -> HeldRoom:
        """Keep room for one request's bytes.

        Args:
            project_id: Who sends them.
            num_bytes: How many are announced; 0 if nobody knows.
            max_bytes: The most that may come in one piece.
            is_announced: The quota knows of them, from the upload that they are part of.

        Raises:
            TooLarge: more bytes than ``max_bytes``, or than the whole disk could take.
            QuotaExceeded: more than the project may have.
            Unavailable: more than there is room for (``disk_full``).
        """
        most = self.largest(max_bytes)
        if num_bytes > most:
            raise TooLarge(f"There may be at most {most} bytes, not {num_bytes}.")
        process = ProcessIdentity.of(os.getpid())
        with self._database.unit_of_work(project_id, write=True) as uow:
            uow.reservations.take_turns()
            row = uow.reservations.add(
                Reservation(
                    num_bytes=num_bytes,
                    is_announced=is_announced,
                    until=uow.now() + _LIFETIME,
                    host=process.host,
                    pid=process.pid,
                    pid_started=process.started,
                    boot_id=process.boot_id,
                )
            )
            self.check(uow)
            uow.commit()
        return HeldRoom(self, project_id, row.id, num_bytes=num_bytes)

    def check(self, uow: UnitOfWork, *, and_bytes: int = 0) -> None:
        """See that everything that is promised fits, after ``take_turns`` and a new promise.

        Args:
            uow: A transaction of the project.
            and_bytes: What must fit on the disk besides.

        Raises:
            QuotaExceeded: it is more than the project may have.
            Unavailable: it is more than there is room for (``disk_full``).
        """
        self.check_disk(uow.reservations.num_bytes_to_come() + and_bytes)
        quota = self.quota(uow)
        if quota is None:
            return
        claimed = uow.reservations.num_bytes_claimed()
        if claimed > quota:
            raise QuotaExceeded(
                f"The project may store {quota} bytes, and with these it would be {claimed}: "
                "delete files, or ask for more."
            )

    def quota(self, uow: UnitOfWork) -> int | None:
        """How many bytes the project may store; None means any number."""
        own = uow.projects.get(uow.project_id).storage_quota_bytes
        return self._settings.storage_quota_bytes if own is None else own

    def largest(self, max_bytes: int) -> int:
        """How many bytes may come in one piece: ``max_bytes``, or what an empty disk would take.

        To wait for room makes sense below that alone.
        """
        total = self._store.total_bytes()
        if total is None:
            return max_bytes
        return max(0, min(max_bytes, total - self._settings.min_free_bytes))

    def check_disk(self, num_bytes: int = 0) -> None:
        """Keep a floor of free space.

        Raises:
            Unavailable: ``num_bytes`` more would go below it.
        """
        free = self._store.free_bytes()
        if free is not None and free - num_bytes < self._settings.min_free_bytes:
            raise Unavailable("There is too little free disk space.", code="disk_full")

    def renew(self, project_id: str, reservation_id: str, *, num_bytes: int, arrived: int) -> None:
        """Go on with a reservation, which may have grown.

        Raises:
            QuotaExceeded: it has grown beyond what the project may have.
            Unavailable: there is no room for it, or not any more.
        """
        with self._database.unit_of_work(project_id, write=True) as uow:
            uow.reservations.take_turns()
            is_held = uow.reservations.renew(
                reservation_id,
                num_bytes=num_bytes,
                num_arrived=arrived,
                until=uow.now() + _LIFETIME,
            )
            if not is_held:
                raise Unavailable("The upload was silent for so long that its room was given away.")
            self.check(uow)
            uow.commit()

    def release(self, project_id: str, reservation_id: str) -> None:
        """Give the room back."""
        with self._database.unit_of_work(project_id, write=True) as uow:
            uow.reservations.release(reservation_id)
            uow.commit()


class HeldRoom:
    """Room for one request's bytes, which are counted as they arrive."""

    def __init__(self, room: Room, project_id: str, reservation_id: str, *, num_bytes: int) -> None:
        self._room = room
        self._project_id = project_id
        self._id = reservation_id
        self._num_bytes = num_bytes
        self._arrived = 0
        self._looked_at = 0
        self._renew_at = time.monotonic() + _RENEW_SECONDS

    def count(self, num_bytes: int) -> None:
        """Count bytes that are about to be written.

        Raises:
            QuotaExceeded: they were not announced, and are more than the project may have.
            Unavailable: there is no room for them.
        """
        self._arrived += num_bytes
        if self._arrived - self._num_bytes >= _STEP or time.monotonic() >= self._renew_at:
            self.settle()
        elif self._arrived - self._looked_at >= _STEP:
            self._looked_at = self._arrived
            self._room.check_disk()

    def settle(self) -> None:
        """Tell the database how far the bytes have come, and hold room for all of them.

        Raises:
            QuotaExceeded: they are more than the project may have.
            Unavailable: there is no room for them.
        """
        self._num_bytes = max(self._num_bytes, self._arrived)
        self._room.renew(
            self._project_id, self._id, num_bytes=self._num_bytes, arrived=self._arrived
        )
        self._renew_at = time.monotonic() + _RENEW_SECONDS

    def close(self) -> None:
        """All bytes are here; if more came than were announced, they must fit as well.

        Raises:
            QuotaExceeded: they are more than the project may have.
            Unavailable: there is no room for them.
        """
        if self._arrived > self._num_bytes:
            self.settle()

    def hand_over(self, uow: UnitOfWork) -> None:
        """Give the room up in the very transaction in which the bytes become a row's."""
        uow.reservations.release(self._id)

    def release(self) -> None:
        """Give the room back."""
        self._room.release(self._project_id, self._id)
