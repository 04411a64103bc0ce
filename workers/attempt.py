"""The frame of every attempt: a lease that is kept, and an end that is written down."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from core import log
from core.errors import LeaseLost
from services import recovery
from services.attempts import Claim
from workers.heartbeat import Heartbeat
from workers.workplace import Workplace

_log = logging.getLogger(__name__)


@contextmanager
def attempted(place: Workplace, claim: Claim) -> Iterator[Heartbeat]:
    """Keep the lease of a claim while the block works on it.

    Whatever goes wrong ends the attempt and goes no further: another one may do better.
    """
    _log.info("Attempt %d at %s, fence %d", claim.number, claim.subject_id, claim.fence)
    heartbeat = Heartbeat(place.database, claim, settings=place.settings)
    try:
        with log.bound(subject=claim.subject_id, attempt=str(claim.number)):
            yield heartbeat
    except LeaseLost as error:
        _log.error("Attempt %d at %s is over: %s", claim.number, claim.subject_id, error.message)
    except Exception as error:  # noqa: BLE001 - the edge: the work must not wait for its lease
        _log.exception("Attempt %d at %s fails", claim.number, claim.subject_id)
        heartbeat.stop()
        _write_crash(place, claim, error)
    finally:
        heartbeat.stop()


def _write_crash(place: Workplace, claim: Claim, error: Exception) -> None:
    cause = f"{type(error).__name__}: {error}"[:2000]
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        try:
            recovery.crashed(uow, claim, cause=cause, exit_code=None, doorbell=place.doorbell)
        except LeaseLost:
            return
        uow.commit()
