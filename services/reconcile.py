"""The reconciler: finds what was lost, and sets it going again.

One process at a time does it, by a lease in the database; two at once would only do it twice, for
every change here is made under a lock on a row that is looked at again.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from core.errors import Unavailable
from core.ids import new_id
from core.processes import ProcessIdentity
from core.settings import Settings
from db.engine import Database
from db.tables import Attempt
from services import checkpoints, expiry, garbage, recovery
from services.doorbell import Doorbell
from storage import keys
from storage.base import Store

_LEADER: Final = "reconciler"
_NUMBER: Final = "reconciler"
"""What tells the reconcilers of one process apart, in a leader's name."""
_SECONDS_BETWEEN_SWEEPS: Final = 600.0
_SECONDS_BETWEEN_COLLECTIONS: Final = 3600.0
_ORPHAN_AGE: Final = timedelta(hours=1)
_log = logging.getLogger(__name__)


class Reconciler:
    """A loop for any process that lives long, such as each API process."""

    def __init__(
        self,
        database: Database,
        doorbell: Doorbell,
        store: Store,
        settings: Settings,
        *,
        pruning_delay: timedelta = checkpoints.PRUNING_DELAY,
        process: ProcessIdentity | None = None,
    ) -> None:
        """``process`` is whose end ends this one; by default the one that runs this."""
        self._database = database
        self._doorbell = doorbell
        self._store = store
        self._settings = settings
        self._pruning_delay = pruning_delay
        identity = process or ProcessIdentity.of(os.getpid())
        self._name = json.dumps({**identity.as_json(), _NUMBER: new_id("req")})
        self._renew_at = float("-inf")
        self._swept_at = float("-inf")
        self._collected_at = float("-inf")
        self._trimmed_at = float("-inf")

    def run(self, stop_event: threading.Event) -> None:
        """Reconcile every ``reconcile_seconds`` until ``stop_event`` is set; errors are logged."""
        while not stop_event.wait(self._settings.reconcile_seconds):
            try:
                self.run_once()
            except Unavailable as error:
                _log.warning("Nothing can be reconciled now: %s", error.message)
            except Exception:  # noqa: BLE001 - the loop must outlive a bug
                _log.exception("The reconciler stumbled")

    def run_once(self) -> bool:
        """Do everything that is due, if this process leads.

        What needs a part that is away (the broker, the store) keeps nothing else from being done.

        Returns:
            Whether it leads.

        Raises:
            Unavailable: the database cannot be reached.
        """
        self._trim_cache_when_due()
        if not self._leads():
            return False
        for duty in (
            self._free_leases_of_the_dead,
            self.expire_leases,
            self.ring_again,
            self.prune_checkpoints,
            self.free_room,
            self.expire_uploads,
            self.expire_files,
            self._sweep_when_due,
            self._collect_when_due,
        ):
            try:
                duty()
            except Unavailable as error:
                _log.warning("%s must wait: %s", duty.__name__.strip("_"), error.message)
        return True

    def expire_leases(self) -> int:
        """Abandon the attempts whose owner let the lease run out; returns how many."""
        with self._database.unit_of_work(project_id=None) as uow:
            expired = [(work.id, work.fence, work.project_id) for work in uow.work.expired()]
        for work_id, fence, project_id in expired:
            with self._database.unit_of_work(project_id, write=True) as uow:
                task = uow.work.find_held(work_id, fence=fence, expired_only=True)
                if task is not None:
                    _log.warning("The lease of %s ran out", task.subject_id)
                    recovery.abandoned(
                        uow, task, cause="the lease ran out", doorbell=self._doorbell
                    )
                uow.commit()
        return len(expired)

    def ring_again(self) -> int:
        """Ring for eligible work that nobody has claimed, as often as rings are missing."""
        patience = timedelta(seconds=self._settings.ring_again_seconds)
        with self._database.unit_of_work(project_id=None) as uow:
            unclaimed = uow.work.unclaimed(older_than=patience)
        if not unclaimed:
            return 0
        # Outside of any transaction: the broker may take its time to answer.
        missing = list(self._missing_rings(Counter(work.queue for work in unclaimed)))
        self._doorbell.ring(missing)
        with self._database.unit_of_work(project_id=None, write=True) as uow:
            uow.work.mark_rung([work.id for work in unclaimed])
            uow.commit()
        return len(missing)

    def prune_checkpoints(self) -> int:
        """Delete checkpoints that their jobs have not needed for a while; returns how many.

        Where the disk is short, they go at once.
        """
        free = self._store.free_bytes()
        is_short = free is not None and free < self._settings.min_free_bytes
        delay = timedelta(0) if is_short else self._pruning_delay
        with self._database.unit_of_work(project_id=None) as uow:
            unneeded = [
                (row.id, row.project_id)
                for row in uow.upkeep.unneeded_checkpoints(older_than=delay)
            ]
        num_pruned = 0
        for checkpoint_id, project_id in unneeded:
            with self._database.unit_of_work(project_id, write=True) as uow:
                num_pruned += checkpoints.prune(uow, checkpoint_id, store=self._store)
                uow.commit()
        return num_pruned

    def free_room(self) -> int:
        """Give back the room that dead processes kept for uploads; returns how many had any."""
        return expiry.free_room(self._database)

    def expire_uploads(self) -> int:
        """End the uploads that nobody completed in time; returns how many."""
        return expiry.expire_uploads(self._database, store=self._store)

    def expire_files(self) -> int:
        """Delete the files that were to be kept for a time that is over; returns how many."""
        return expiry.expire_files(self._database, store=self._store)

    def sweep_orphans(self) -> int:
        """Delete checkpoints in the store that no row knows, once they are an hour old.

        They were put by an attempt that ended before it could commit them.
        """
        found = (keys.CheckpointAddress.of(item.key) for item in self._store.list(keys.CHECKPOINTS))
        stored = dict.fromkeys(address for address in found if address is not None)
        num_swept = sum(self._sweep(address) for address in stored)
        self._store.sweep(older_than=_ORPHAN_AGE)
        return num_swept

    def collect_garbage(self) -> int:
        """Delete from the store what no row refers to any more; returns how many things went."""
        return garbage.collect(self._database, store=self._store)

    def _leads(self) -> bool:
        """Whether this process leads; the lease is renewed in good time, not at every turn."""
        if time.monotonic() < self._renew_at:
            return True
        lease = self._settings.lease_seconds
        with self._database.unit_of_work(project_id=None, write=True) as uow:
            last = uow.upkeep.leader(_LEADER)
            leads = uow.upkeep.lead(
                _LEADER,
                owner=self._name,
                seconds=lease,
                heir_of=last if last is not None and _is_known_dead(last) else None,
            )
            uow.commit()
        if leads:
            self._renew_at = time.monotonic() + lease / 3
        return leads

    def _free_leases_of_the_dead(self) -> None:
        free_leases_of_the_dead(self._database, doorbell=self._doorbell)

    def _sweep_when_due(self) -> None:
        if time.monotonic() - self._swept_at >= _SECONDS_BETWEEN_SWEEPS:
            self._swept_at = time.monotonic()
            self.sweep_orphans()

    def _trim_cache_when_due(self) -> None:
        """Every host has its own, so everybody does it."""
        if time.monotonic() - self._trimmed_at >= _SECONDS_BETWEEN_SWEEPS:
            self._trimmed_at = time.monotonic()
            self._store.trim(self._settings.cache_dir, max_bytes=self._settings.max_cache_bytes)

    def _collect_when_due(self) -> None:
        if time.monotonic() - self._collected_at >= _SECONDS_BETWEEN_COLLECTIONS:
            self._collected_at = time.monotonic()
            self.collect_garbage()

    def _missing_rings(self, eligible: Counter[str]) -> Iterator[str]:
        """One ring for each piece of work, less those that still wait in the broker's queue."""
        for queue_name, count in eligible.items():
            missing = count - self._doorbell.waiting(queue_name)
            yield from [queue_name] * max(0, missing)

    def _sweep(self, address: keys.CheckpointAddress) -> bool:
        with self._database.unit_of_work(project_id=None) as uow:
            is_needed = uow.upkeep.knows_checkpoint(address.prefix) or uow.upkeep.may_still_commit(
                address.job_id, fence=address.fence, within=_ORPHAN_AGE
            )
        if not is_needed:
            _log.info("%s was never committed, or is deleted; its bytes go", address)
            self._store.delete_prefix(address.prefix)
        return not is_needed


def free_leases_of_the_dead(database: Database, *, doorbell: Doorbell) -> int:
    """Abandon the attempts of processes of this very host that certainly run no more.

    Returns:
        How many.
    """
    with database.unit_of_work(project_id=None) as uow:
        dead = [
            attempt
            for attempt in uow.upkeep.attempts_on(socket.gethostname())
            if _process_of(attempt).is_known_dead
        ]
    for attempt in dead:
        with database.unit_of_work(attempt.project_id, write=True) as uow:
            task = uow.work.find_held(attempt.work_id, fence=attempt.fence)
            if task is not None:
                _log.warning(
                    "Process %d, which worked on %s, is dead", attempt.pid, task.subject_id
                )
                recovery.abandoned(uow, task, cause="its runner was killed", doorbell=doorbell)
            uow.commit()
    return len(dead)


def _is_known_dead(leader: str) -> bool:
    """Whether the process that leads certainly runs no more."""
    try:
        identity = json.loads(leader)
        del identity[_NUMBER]
        return ProcessIdentity.from_json(identity).is_known_dead
    except (ValueError, TypeError, KeyError):  # written by an earlier version
        return False


def _process_of(attempt: Attempt) -> ProcessIdentity:
    return ProcessIdentity(
        host=attempt.host,
        pid=attempt.pid,
        started=attempt.pid_started,
        boot_id=attempt.boot_id,
    )
