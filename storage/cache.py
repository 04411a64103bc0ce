"""What a host keeps of a distant store, and what of it may go.

Several processes share it. Each thing has a mark, an empty file whose time is that of the last use
and whose lock is held by whoever still reads the thing. Marks stay when their things have gone:
a lock on a file that has been replaced would keep nobody out.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

_MARKS: Final = ".marks"
_STAGING: Final = ".staging"
UNUSED_FOR: Final = timedelta(hours=1)
"""What has been used since stays, even if nobody says that he still reads it."""
_log = logging.getLogger(__name__)


def mark_used(cache: Path, key: str) -> int:
    """Say that a thing is being used, before looking whether it is there.

    Args:
        cache: The directory of the cache.
        key: The thing's key or prefix, and so its path in the cache.

    Returns:
        A descriptor; as long as it is open, the thing stays.
    """
    mark = cache / _MARKS / quote(key, safe="")
    mark.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(descriptor)
    return descriptor


@contextmanager
def staged(cache: Path) -> Iterator[Path]:
    """A name in the cache for something unfinished, removed at the end if it is still there."""
    path = _new_name(cache)
    try:
        yield path
    finally:
        _delete(path)


def trim(cache: Path, *, max_bytes: int, unused_for: timedelta = UNUSED_FOR) -> int:
    """Remove what was used longest ago until no more than ``max_bytes`` are left.

    What processes have left unfinished that were killed goes as well, once it is as old.

    Returns:
        How many bytes of finished things went.
    """
    _sweep(cache, before=time.time() - unused_for.total_seconds())
    things = sorted(_things(cache), key=lambda thing: thing.used_at)
    surplus = sum(thing.num_bytes for thing in things) - max_bytes
    num_gone = 0
    for thing in things:
        if surplus - num_gone <= 0 or thing.used_at > time.time() - unused_for.total_seconds():
            break
        with _alone(thing.mark) as is_unused:
            if is_unused and thing.mark.stat().st_mtime == thing.used_at:
                _log.info("%s has not been used for long; its copy here goes", thing.path)
                _remove(thing.path, cache=thing.mark.parent.parent)
                num_gone += thing.num_bytes
    return num_gone


@dataclass(frozen=True, slots=True)
class _Thing:
    mark: Path
    path: Path
    used_at: float
    num_bytes: int


def _things(cache: Path) -> Iterator[_Thing]:
    """Of the cache, and of the caches that are directories in it."""
    for mark in (*cache.glob(f"{_MARKS}/*"), *cache.glob(f"*/{_MARKS}/*")):
        path = mark.parent.parent / unquote(mark.name)
        num_bytes = _size(path)
        if num_bytes is not None:
            yield _Thing(mark, path, used_at=mark.stat().st_mtime, num_bytes=num_bytes)


def _size(path: Path) -> int | None:
    """The bytes of a file or a tree; None if there is none."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    except FileNotFoundError:  # another process removes it just now
        return None


@contextmanager
def _alone(mark: Path) -> Iterator[bool]:
    """Whether nobody uses the thing; nobody begins to until the block ends."""
    descriptor = os.open(mark, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _remove(path: Path, *, cache: Path) -> None:
    """A directory goes all at once, by a rename, so that nobody ever meets a part of it."""
    with staged(cache) as gone, suppress(FileNotFoundError):
        path.rename(gone)


def _new_name(cache: Path) -> Path:
    directory = cache / _STAGING
    directory.mkdir(parents=True, exist_ok=True)
    return directory / uuid.uuid4().hex


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sweep(cache: Path, *, before: float) -> None:
    """Delete what stands unfinished in the cache, and in those in it, and was left so."""
    for path in (*cache.glob(f"{_STAGING}/*"), *cache.glob(f"*/{_STAGING}/*")):
        if _written_at(path) < before:
            _log.info("%s was left unfinished; it goes", path)
            _delete(path)


def _written_at(path: Path) -> float:
    """When anything of a file or a tree was last written; now, where somebody is just at it."""
    try:
        return max(found.stat().st_mtime for found in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()
