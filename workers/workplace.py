"""What a runner works with, and the directory of one attempt."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from core.settings import Settings
from db.engine import Database
from services.attempts import Claim, log_path
from services.doorbell import Doorbell
from storage.base import Store
from workers.children import kill_leftovers


@dataclass(frozen=True, slots=True)
class Workplace:
    """Everything that a runner shares between the steps of an attempt."""

    settings: Settings
    database: Database
    store: Store
    doorbell: Doorbell
    drain: threading.Event
    """Set when this worker is asked to leave."""

    def log_of(self, claim: Claim) -> Path:
        """Where the children of an attempt write what they have to say."""
        return log_path(self.settings.log_dir, subject_id=claim.subject_id, number=claim.number)

    @contextmanager
    def scratch(self, claim: Claim) -> Iterator[Path]:
        """A directory for one attempt, gone afterwards, as is what earlier ones left here."""
        of_work = self.settings.scratch_dir / claim.work_id
        if of_work.exists():
            kill_leftovers(of_work)
            shutil.rmtree(of_work, ignore_errors=True)
        directory = of_work / f"f{claim.fence}"
        directory.mkdir(parents=True)
        try:
            yield directory
        finally:
            # Ours alone: the next attempt may have begun as soon as the work was given back.
            shutil.rmtree(directory, ignore_errors=True)
            with suppress(OSError):
                of_work.rmdir()
