"""What a runner works with, and the directory of one attempt."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.processes import ProcessIdentity
from core.settings import Settings
from db.engine import Database
from services.attempts import Claim, log_path
from services.doorbell import Doorbell
from storage.base import Store
from workers.children import kill_leftovers

_RUNNER_FILE: Final = "runner.json"


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
        """A directory for one attempt, gone afterwards, as is what dead runners left on this host.

        Whoever was killed cannot clear up, and his work may go on elsewhere, or as part of another
        attempt: so each attempt clears up after all of them.
        """
        of_work = self.settings.scratch_dir / claim.work_id
        for left in (*of_work.glob("*"), *_left_by_the_dead(self.settings.scratch_dir)):
            kill_leftovers(left)
            _clear(left)
        directory = of_work / f"f{claim.fence}"
        _make(directory)
        runner = ProcessIdentity.of(os.getpid())
        (directory / _RUNNER_FILE).write_text(json.dumps(runner.as_json()))
        try:
            yield directory
        finally:
            # Ours alone: the next attempt may have begun as soon as the work was given back.
            _clear(directory)


def _left_by_the_dead(scratch: Path) -> list[Path]:
    left = []
    for record in scratch.glob(f"*/*/{_RUNNER_FILE}"):
        with suppress(OSError, ValueError, TypeError):  # gone, or killed while it was written
            if ProcessIdentity.from_json(json.loads(record.read_text())).is_known_dead:
                left.append(record.parent)
    return left


def _make(directory: Path) -> None:
    while True:
        try:
            directory.mkdir(parents=True)
        except FileNotFoundError:  # somebody has just cleared the directory above it
            continue
        return


def _clear(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # another attempt has its directory beside this one
        directory.parent.rmdir()
