"""What ends by itself: files that were kept for a time, uploads nobody completed, room of the dead.

For the reconciler. Each row is looked at again under a lock, so that doing it twice does no harm.
"""

from __future__ import annotations

import logging

from core.errors import Conflict, NotFound
from core.processes import ProcessIdentity
from db.engine import Database
from db.tables import Reservation
from services import files, uploads
from storage.base import Store

_log = logging.getLogger(__name__)


def expire_uploads(database: Database, *, store: Store) -> int:
    """End the uploads whose time is over, and delete their parts; returns how many."""
    with database.unit_of_work(project_id=None) as uow:
        due = [(upload.id, upload.project_id) for upload in uow.upkeep.expired_uploads()]
    num_expired = 0
    for upload_id, project_id in due:
        with database.unit_of_work(project_id, write=True) as uow:
            num_expired += uploads.expire(uow, upload_id, store=store)
            uow.commit()
    return num_expired


def expire_files(database: Database, *, store: Store) -> int:
    """Delete the files that are kept no longer, once nobody reads them; returns how many."""
    with database.unit_of_work(project_id=None) as uow:
        due = [(file.id, file.project_id) for file in uow.upkeep.expired_files()]
    num_expired = 0
    for file_id, project_id in due:
        with database.unit_of_work(project_id, write=True) as uow:
            try:
                files.delete(uow, file_id, store=store)
            except (Conflict, NotFound) as error:
                _log.debug("%s has expired, but stays: %s", file_id, error.message)
                continue
            uow.commit()
            num_expired += 1
    return num_expired


def free_room(database: Database) -> int:
    """Give back the room of uploads whose process is dead, or has long been silent; how many."""
    with database.unit_of_work(project_id=None) as uow:
        now = uow.now()
        ended = [
            (held.id, held.project_id)
            for held in uow.upkeep.reservations()
            if held.until <= now or _process_of(held).is_known_dead
        ]
    for reservation_id, project_id in ended:
        with database.unit_of_work(project_id, write=True) as uow:
            uow.reservations.release(reservation_id)
            uow.commit()
    return len(ended)


def _process_of(held: Reservation) -> ProcessIdentity:
    return ProcessIdentity(
        host=held.host, pid=held.pid, started=held.pid_started, boot_id=held.boot_id
    )
