"""The heartbeat: keeps the lease, and hears what the user wants.

A runner that cannot reach the database goes on, because a database that restarts must not cost
anybody hours of training; but not for ever, and it commits nothing meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final, Protocol

from core.errors import LeaseLost, Unavailable
from core.lifecycle import DesiredStatus
from core.settings import Settings
from db.engine import Database
from services.attempts import Claim

LOOK_SECONDS: Final = 1.0
"""How often the user's wish is looked for."""
LONGEST_SILENCE_SECONDS: Final = 600.0
"""A database that is away for longer ends the attempt."""
_log = logging.getLogger(__name__)


class Lease(Protocol):
    """What somebody who works has to know about his right to do so."""

    @property
    def desired(self) -> DesiredStatus:
        """What the user wanted when last heard of."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether the work belongs to somebody else now."""
        ...


class JointLease:
    """Several leases that one piece of work is done under; it ends with the first of them."""

    def __init__(self, *leases: Lease) -> None:
        self._leases = leases

    @property
    def desired(self) -> DesiredStatus:
        """The first wish that is not to go on."""
        wishes = [lease.desired for lease in self._leases]
        return next((wish for wish in wishes if wish is not DesiredStatus.RUNNING), wishes[0])

    @property
    def is_lost(self) -> bool:
        """Whether any is lost."""
        return any(lease.is_lost for lease in self._leases)


class Heartbeat:
    """A thread that extends the lease of a claim until it is stopped or the lease is lost."""

    def __init__(
        self,
        database: Database,
        claim: Claim,
        *,
        settings: Settings,
        longest_silence_seconds: float = LONGEST_SILENCE_SECONDS,
    ) -> None:
        """Begin to beat.

        Args:
            database: Where the lease is.
            claim: What we hold.
            settings: How often to beat, and how long a lease is.
            longest_silence_seconds: How long the database may be away.
        """
        self._database = database
        self._claim = claim
        self._settings = settings
        self._longest_silence_seconds = longest_silence_seconds
        self._desired = DesiredStatus.RUNNING
        self._is_lost = False
        self._stopping = threading.Event()
        self._heard_at = time.monotonic()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    @property
    def desired(self) -> DesiredStatus:
        """What the user wanted when last heard of."""
        return self._desired

    @property
    def is_lost(self) -> bool:
        """Whether the work belongs to somebody else now."""
        return self._is_lost

    def stop(self) -> None:
        """Beat no more."""
        self._stopping.set()
        self._thread.join()

    def _beat(self) -> None:
        extend_at = time.monotonic() + self._settings.heartbeat_seconds
        while not self._stopping.wait(min(LOOK_SECONDS, self._settings.heartbeat_seconds)):
            is_time = time.monotonic() >= extend_at
            try:
                self._desired = self._extend() if is_time else self._look()
            except LeaseLost as error:
                self._give_up(error.message)
                return
            except Unavailable as error:
                silence = time.monotonic() - self._heard_at
                _log.warning("The database has been away for %.0f s: %s", silence, error)
                if silence > self._longest_silence_seconds:
                    self._give_up("the database has been away for too long")
                    return
                continue
            self._heard_at = time.monotonic()
            if is_time:
                extend_at = self._heard_at + self._settings.heartbeat_seconds

    def _extend(self) -> DesiredStatus:
        with self._database.unit_of_work(self._claim.project_id, write=True) as uow:
            desired = uow.work.extend(
                self._claim.work_id,
                fence=self._claim.fence,
                lease_seconds=self._settings.lease_seconds,
            )
            uow.commit()
        return desired

    def _look(self) -> DesiredStatus:
        """Read only: nobody waits for a lock because of a look."""
        with self._database.unit_of_work(self._claim.project_id) as uow:
            task = uow.work.find_for(self._claim.subject_id)
            if task is None or task.fence != self._claim.fence or task.owner is None:
                raise LeaseLost(f"Work {self._claim.work_id!r} is no longer ours.")
            return task.desired_status

    def _give_up(self, why: str) -> None:
        _log.error("The lease is lost: %s", why)
        self._is_lost = True
