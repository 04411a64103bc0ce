"""A store in a local directory: temporary file, fsync, rename, fsync of the parent."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from core.errors import Conflict, NotFound, Unavailable
from storage.base import (
    CHUNK_BYTES,
    StoredKey,
    StoredObject,
    files_of,
    valid_key,
    valid_prefix,
)

_STAGING: Final = ".staging"
"""Within the store, so that a rename out of it never copies; no valid key begins with a dot."""
_NOT_LINKABLE: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})


class LocalStore:
    """Keys are paths below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = root / _STAGING

    def writer(self, key: str) -> LocalWriter:
        """See `Store.writer`."""
        return LocalWriter(key, staged=self._stage(), target=self._path(key))

    def put_directory(
        self, prefix: str, directory: Path, *, last: str | None = None
    ) -> list[StoredObject]:
        """See `Store.put_directory`: second links to the bytes where the file system allows."""
        valid_prefix(prefix)
        return [
            self._put_file(prefix + name, directory / name, replace=name != last)
            for name in files_of(directory, last=last)
        ]

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Store.open`."""
        size = self.size(key)
        return _read(self._path(key), start=start, end=size if end is None else min(end, size))

    def size(self, key: str) -> int:
        """See `Store.size`."""
        path = self._path(key)
        if not path.is_file():
            raise NotFound(f"The store has no {key!r}.")
        return path.stat().st_size

    def list(self, prefix: str) -> Iterator[StoredKey]:
        """See `Store.list`."""
        directory = self._root / valid_prefix(prefix) if prefix else self._root
        for key in sorted(self._keys_below(directory)):
            try:
                status = (self._root / key).stat()
            except FileNotFoundError:  # deleted just now
                continue
            # The change time: a linked file brings the modification time of its source along.
            changed_at = datetime.fromtimestamp(status.st_ctime, tz=UTC)
            yield StoredKey(key=key, num_bytes=status.st_size, changed_at=changed_at)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        path = self._path(key)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_directory(path.parent)

    def delete_prefix(self, prefix: str) -> None:
        """See `Store.delete_prefix`: gone at once by a rename, then file by file."""
        directory = self._root / valid_prefix(prefix)
        staged = self._stage()
        try:
            directory.rename(staged)
        except FileNotFoundError:
            return
        _sync_directory(directory.parent)
        shutil.rmtree(staged)

    def materialise(self, prefix: str, *, cache: Path) -> Path:
        """See `Store.materialise`: it is here already."""
        del cache
        directory = self._root / valid_prefix(prefix)
        if not directory.is_dir():
            raise NotFound(f"The store has nothing under {prefix!r}.")
        return directory

    def materialise_file(self, key: str, *, cache: Path) -> Path:
        """See `Store.materialise_file`: it is here already."""
        del cache
        self.size(key)
        return self._path(key)

    def trim(self, cache: Path, *, max_bytes: int) -> int:
        """See `Store.trim`: nothing was ever brought."""
        del cache, max_bytes
        return 0

    def free_bytes(self) -> int:
        """See `Store.free_bytes`: what the file system offers to this user."""
        self._staging.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).free

    def total_bytes(self) -> int:
        """See `Store.total_bytes`: the size of the file system."""
        self._staging.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._root).total

    def sweep(self, *, older_than: timedelta) -> int:
        """See `Store.sweep`."""
        if not self._staging.is_dir():
            return 0
        num_removed = 0
        latest = time.time() - older_than.total_seconds()
        for path in sorted(self._staging.iterdir()):
            # The change time: a linked file brings the modification time of its source along.
            if _changed_at(path) <= latest:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                num_removed += 1
        return num_removed

    def check(self) -> None:
        """See `Store.check`: writes and removes a file."""
        try:
            staged = self._stage()
            staged.touch()
            staged.unlink()
        except OSError as error:
            raise Unavailable(f"The store {self._root} cannot be written: {error}") from error

    def _path(self, key: str) -> Path:
        return self._root / valid_key(key)

    def _keys_below(self, directory: Path) -> Iterator[str]:
        # Not Path.rglob, which fails where a directory goes while it is read.
        for parent, subdirectories, names in os.walk(directory):
            if Path(parent) == self._root and _STAGING in subdirectories:
                subdirectories.remove(_STAGING)
            for name in names:
                yield Path(parent, name).relative_to(self._root).as_posix()

    def _stage(self) -> Path:
        """A name of our own for something unfinished."""
        self._staging.mkdir(parents=True, exist_ok=True)
        return self._staging / uuid.uuid4().hex

    def _put_file(self, key: str, source: Path, *, replace: bool) -> StoredObject:
        target, staged = self._path(key), self._stage()
        with _told_as_unavailable():
            try:
                _link_or_copy(source, staged)
                with staged.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fsync(file.fileno())
                num_bytes = staged.stat().st_size
                _publish(staged, target, replace=replace)
            finally:
                staged.unlink(missing_ok=True)
        return StoredObject(key=key, num_bytes=num_bytes, sha256=digest)


class LocalWriter:
    """See `Writer`."""

    def __init__(self, key: str, *, staged: Path, target: Path) -> None:
        self.num_bytes = 0
        self._key = key
        self._staged = staged
        self._target = target
        self._digest = hashlib.sha256()
        self._file: BinaryIO = staged.open("xb")

    def write(self, data: bytes) -> None:
        """Add bytes; see `Writer.write`."""
        with _told_as_unavailable():
            self._file.write(data)
        self._digest.update(data)
        self.num_bytes += len(data)

    def commit(self) -> StoredObject:
        """Publish the bytes; see `Writer.commit`."""
        with _told_as_unavailable():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            _publish(self._staged, self._target, replace=True)
        return StoredObject(self._key, self.num_bytes, self._digest.hexdigest())

    def abort(self) -> None:
        """Leave nothing; see `Writer.abort`."""
        # After a full disk, closing fails again while it flushes; the file is closed all the same.
        with suppress(OSError):
            self._file.close()
        self._staged.unlink(missing_ok=True)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NOT_LINKABLE:
            raise
        shutil.copyfile(source, target, follow_symlinks=False)


def _publish(staged: Path, target: Path, *, replace: bool) -> None:
    """Give durable bytes their name, and make the name durable.

    Raises:
        Conflict: the name is taken by other bytes and may not be replaced.
    """
    _make_directory(target.parent)
    if replace:
        staged.replace(target)
    else:
        try:
            os.link(staged, target)
        except FileExistsError:
            if target.read_bytes() != staged.read_bytes():
                raise Conflict(f"{target.name} has been put there already.") from None
    _sync_directory(target.parent)


def _make_directory(directory: Path) -> None:
    """Make a directory and its parents, each of them durable."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, *, start: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        left = end - start
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


def _changed_at(path: Path) -> float:
    try:
        return path.lstat().st_ctime
    except FileNotFoundError:  # committed or aborted just now
        return float("inf")


@contextmanager
def _told_as_unavailable() -> Iterator[None]:
    """Tell a disk that is full, or fails, as what it is to the user."""
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise Unavailable(
            f"The store cannot take the bytes: {os.strerror(error.errno or 0)}.",
            code="disk_full" if full else None,
        ) from error
