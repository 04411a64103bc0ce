"""The directory that a run of ``python -m training`` writes into: one run at a time, of one spec.

Whoever had two of them in one directory would lose checkpoints: the older ones are deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.deciding_metric import DecidingMetric
from core.errors import BadData, CheckpointDamaged, Conflict
from training.checkpoint import read_manifest

_CHECKPOINT: Final = re.compile(r"step-(?P<step>\d{8,})-f(?P<fence>\d+)")
_UNFINISHED: Final = ".tmp-step-*"


@dataclass(frozen=True, slots=True)
class OutDirectory:
    """Where checkpoints go."""

    path: Path

    def next_fence(self) -> int:
        """One more than any attempt before has used."""
        return 1 + max((_fence(path) for path in self._named()), default=0)

    def checkpoints(self) -> list[Path]:
        """Whole checkpoints, those of later attempts last, and of each attempt the later ones."""
        found = []
        for path in sorted(self._named(), key=lambda path: (_fence(path), path.name)):
            try:
                read_manifest(path)
            except CheckpointDamaged:
                continue
            found.append(path)
        return found

    def newest(self) -> Path | None:
        """The last of them."""
        return next(reversed(self.checkpoints()), None)

    def best_first(self, metric: DecidingMetric) -> list[Path]:
        """Whole checkpoints, the best first; of equals, the one that has learned longest."""
        newest_first = reversed(self.checkpoints())
        return sorted(newest_first, key=lambda path: metric.order(read_manifest(path).metrics))

    def keep(self, *, last: int, best: int, metric: DecidingMetric) -> None:
        """Delete all but the last ones and the best ones."""
        kept = {*self.checkpoints()[-last:], *self.best_first(metric)[:best]}
        for path in self.checkpoints():
            if path not in kept:
                shutil.rmtree(path)

    def refuse_strangers(self, *, spec_sha256: str, is_resumed: bool) -> None:
        """Whoever begins does so in a directory of its own.

        Raises:
            Conflict: there are checkpoints of another spec, or of a run that does not go on.
        """
        for path in self.checkpoints():
            if read_manifest(path).spec_sha256 != spec_sha256:
                raise Conflict(f"{path} is of another spec. Give another --out.")
        newest = self.newest()
        if newest is not None and not is_resumed:
            raise Conflict(
                f"{self.path} holds checkpoints already. Go on from the last one with --resume "
                f"{newest}, or give another --out."
            )

    def _named(self) -> list[Path]:
        return [path for path in self.path.iterdir() if _CHECKPOINT.fullmatch(path.name)]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[OutDirectory]:
    """The directory, made if need be, and nobody else's as long as the block lasts.

    What a run that was killed had not finished goes.

    Raises:
        BadData: it can not be made, or not be written.
        Conflict: another run is writing there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BadData(f"--out {path} cannot be used: {error.strerror}.") from None
    try:
        if not os.access(path, os.W_OK | os.X_OK):
            raise BadData(f"--out {path} cannot be used: it may not be written.")
        _lock(descriptor, path)
        for unfinished in path.glob(_UNFINISHED):
            shutil.rmtree(unfinished, ignore_errors=True)
        yield OutDirectory(path)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict(
            f"Another run is writing into {path}. Wait for its end, or give another --out."
        ) from None
    except OSError:
        return  # a file system without locks


def _fence(path: Path) -> int:
    match = _CHECKPOINT.fullmatch(path.name)
    assert match is not None  # it is among the named
    return int(match["fence"])
