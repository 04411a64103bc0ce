"""``python -m workers.runner --queues train.1``: one attempt at something, then the end.

Owns the lease, the database, the store and the log of the attempt; its children know files alone.
A process of its own, so that whatever goes wrong ends with it. SIGTERM means: save, and leave.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Final

from core import log
from core.lifecycle import WorkKind
from core.processes import ProcessIdentity
from core.settings import Settings
from db.engine import Database
from services import attempts
from services.doorbell import open_doorbell
from storage.open import open_store
from workers.attempt import attempted
from workers.kinds.making import make
from workers.kinds.pieces import help_with
from workers.kinds.training import train
from workers.lifeline import die_with_parent
from workers.workplace import Workplace

WORKED: Final = 0
"""The exit code after an attempt, whatever came of it, and when nothing waited."""
_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Claim the best work of the queues and do it; return when the attempt is over."""
    parser = argparse.ArgumentParser(prog="python -m workers.runner", description=__doc__)
    parser.add_argument("--queues", required=True, help="comma-separated, such as corpus,train.1")
    queues = parser.parse_args(arguments).queues.split(",")
    die_with_parent()
    settings = Settings()
    log.configure(level=settings.log_level, log_format=settings.log_format)
    doorbell = open_doorbell(settings.broker_url)
    place = Workplace(
        settings=settings,
        database=Database(settings.database_url),
        store=open_store(settings.store_url, holds=True),
        doorbell=doorbell,
        drain=_drain_signal(),
    )
    try:
        run_one(place, queues=queues)
        place.store.trim(settings.cache_dir, max_bytes=settings.max_cache_bytes)
    finally:
        doorbell.close()
        place.database.close()
    return WORKED


def run_one(place: Workplace, *, queues: Sequence[str]) -> bool:
    """Carry out one attempt.

    Returns:
        Whether there was something to do.
    """
    if place.drain.is_set():
        return False
    with place.database.unit_of_work(project_id=None, write=True) as uow:
        claim = attempts.begin(
            uow,
            queues=queues,
            process=ProcessIdentity.of(os.getpid()),
            lease_seconds=place.settings.lease_seconds,
        )
        uow.commit()
    if claim is None:
        return False
    if claim.kind is WorkKind.PIECE:
        help_with(place, claim)
        return True
    with attempted(place, claim) as heartbeat:
        carry_out = train if claim.kind is WorkKind.JOB else make
        carry_out(place, claim, heartbeat=heartbeat)
    return True


def _drain_signal() -> threading.Event:
    """Set by SIGTERM. Ctrl-C reaches a whole terminal; whoever started us passes it on."""
    drain = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        drain.set()

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return drain


if __name__ == "__main__":
    sys.exit(main())
