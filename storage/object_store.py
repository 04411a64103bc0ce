"""A store in a bucket: S3, Google Cloud Storage, Azure, or this process's memory.

A multipart upload that is broken off leaves parts that only the bucket's own rules can remove:
give the bucket a lifecycle rule that aborts incomplete uploads after a day.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, NotSupportedError
from obstore.store import ObjectStore as Bucket

from core.errors import Conflict, NotFound, Unavailable
from storage.base import (
    CHUNK_BYTES,
    StoredKey,
    StoredObject,
    Writer,
    files_of,
    valid_key,
    valid_prefix,
)
from storage.cache import mark_used, staged, trim

_PART_BYTES: Final = 8 << 20
_DELETED_AT_ONCE: Final = 1000


class ObjectStore:
    """Keys are the names of objects."""

    def __init__(self, bucket: Bucket, *, holds: bool = False) -> None:
        """``holds``: what is brought to this host stays there as long as this process lives."""
        self._bucket = bucket
        self._holds = holds
        self._held: list[int] = []

    def writer(self, key: str) -> Writer:
        """See `Store.writer`."""
        return _ObjectWriter(self._bucket, valid_key(key))

    def put_directory(
        self, prefix: str, directory: Path, *, last: str | None = None
    ) -> list[StoredObject]:
        """See `Store.put_directory`."""
        valid_prefix(prefix)
        return [
            self._put_new(prefix + name, (directory / name).read_bytes())
            if name == last
            else self._put_file(prefix + name, directory / name)
            for name in files_of(directory, last=last)
        ]

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See `Store.open`."""
        size = self.size(key)
        end = size if end is None else min(end, size)
        if start >= end:
            return iter(())
        return self._read(key, start=start, end=end)

    def size(self, key: str) -> int:
        """See `Store.size`."""
        with _translated(key):
            return obstore.head(self._bucket, valid_key(key))["size"]

    def list(self, prefix: str) -> Iterator[StoredKey]:
        """See `Store.list`."""
        inside = valid_prefix(prefix)[:-1] if prefix else None
        with _translated(prefix):
            found = [
                StoredKey(
                    key=meta["path"], num_bytes=meta["size"], changed_at=meta["last_modified"]
                )
                for page in obstore.list(self._bucket, prefix=inside)
                for meta in page
            ]
        yield from sorted(found, key=lambda stored: stored.key)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._delete([valid_key(key)])

    def delete_prefix(self, prefix: str) -> None:
        """See `Store.delete_prefix`."""
        valid_prefix(prefix)
        keys = [stored.key for stored in self.list(prefix)]
        for first in range(0, len(keys), _DELETED_AT_ONCE):
            self._delete(keys[first : first + _DELETED_AT_ONCE])

    def materialise(self, prefix: str, *, cache: Path) -> Path:
        """See `Store.materialise`: downloaded beside its place, then renamed."""
        target = cache / valid_prefix(prefix)
        self._mark_used(cache, prefix)
        if target.is_dir():
            return target
        stored = list(self.list(prefix))
        if not stored:
            raise NotFound(f"The store has nothing under {prefix!r}.")
        with staged(cache) as half:
            for item in stored:
                self._download(item.key, half / item.key.removeprefix(prefix))
            _settle(half, target)
        return target

    def materialise_file(self, key: str, *, cache: Path) -> Path:
        """See `Store.materialise_file`: downloaded beside its place, then renamed."""
        target = cache / valid_key(key)
        self._mark_used(cache, key)
        if not target.is_file():
            with staged(cache) as half:
                self._download(key, half)
                target.parent.mkdir(parents=True, exist_ok=True)
                half.replace(target)
        return target

    def trim(self, cache: Path, *, max_bytes: int) -> int:
        """See `Store.trim`."""
        return trim(cache, max_bytes=max_bytes)

    def free_bytes(self) -> None:
        """See `Store.free_bytes`: a bucket does not say."""
        return

    def total_bytes(self) -> None:
        """See `Store.total_bytes`: a bucket does not say."""
        return

    def sweep(self, *, older_than: timedelta) -> int:
        """See `Store.sweep`: only the bucket's own lifecycle rule can do it."""
        del older_than
        return 0

    def check(self) -> None:
        """See `Store.check`: asks for the first page of a listing."""
        with _translated(""):
            next(iter(obstore.list(self._bucket, chunk_size=1)), None)

    def _put_file(self, key: str, path: Path) -> StoredObject:
        writer = self.writer(key)
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    writer.write(chunk)
            return writer.commit()
        finally:
            writer.abort()

    def _mark_used(self, cache: Path, key: str) -> None:
        descriptor = mark_used(cache, key)
        if self._holds:
            self._held.append(descriptor)
        else:
            os.close(descriptor)

    def _put_new(self, key: str, data: bytes) -> StoredObject:
        """Put under ``If-None-Match: *``, where the bucket knows it."""
        with _translated(key):
            try:
                obstore.put(self._bucket, valid_key(key), data, mode="create", use_multipart=False)
            except NotSupportedError:
                obstore.put(self._bucket, key, data, use_multipart=False)
            except AlreadyExistsError:
                # Our own earlier request may have arrived although its answer did not.
                if bytes(obstore.get(self._bucket, key).bytes()) != data:
                    raise Conflict(f"{key!r} has been put already.") from None
        return StoredObject(key, len(data), hashlib.sha256(data).hexdigest())

    def _read(self, key: str, *, start: int, end: int) -> Iterator[bytes]:
        with _translated(key):
            result = obstore.get(self._bucket, key, options={"range": (start, end)})
            for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def _download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for chunk in self.open(key):
                file.write(chunk)

    def _delete(self, keys: Iterable[str]) -> None:
        try:
            with _translated(""):
                obstore.delete(self._bucket, list(keys))
        except NotFound:
            return


class _ObjectWriter:
    """See `Writer`: parts go out while bytes still come in."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self.num_bytes = 0
        self._key = key
        self._digest = hashlib.sha256()
        self._upload: obstore.WritableFile | None
        with _translated(key):
            self._upload = obstore.open_writer(bucket, key, buffer_size=_PART_BYTES)

    def write(self, data: bytes) -> None:
        assert self._upload is not None, "committed or aborted"
        with _translated(self._key):
            self._upload.write(data)
        self._digest.update(data)
        self.num_bytes += len(data)

    def commit(self) -> StoredObject:
        assert self._upload is not None, "committed or aborted"
        with _translated(self._key):
            self._upload.close()
        self._upload = None
        return StoredObject(self._key, self.num_bytes, self._digest.hexdigest())

    def abort(self) -> None:
        # What is never closed never becomes an object.
        self._upload = None


def _settle(half: Path, target: Path) -> None:
    """Rename a whole directory to its place; if another process was first, its copy is as good."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        half.rename(target)
    except OSError:
        if not target.is_dir():
            raise


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Tell a bucket's failures in our own words."""
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise NotFound(f"The store has no {key!r}.") from error
    except (BaseError, OSError) as error:
        first_line = str(error).partition("\n")[0]  # the rest is the client's own state, for us
        raise Unavailable(f"The object store cannot be used: {first_line}") from error
