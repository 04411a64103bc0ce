"""The one protocol for bytes by key.

A key is a path of plain names, such as ``corpora/corpus_01/manifest.json``; a prefix is the same
with a slash at its end. What has been put is whole, durable, and does not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

CHUNK_BYTES: Final = 1 << 20
"""How much is read at a time."""

_NAME = re.compile(r"[A-Za-z0-9_+=@,-][A-Za-z0-9_.+=@, -]*")
_MAX_KEY_LENGTH: Final = 900


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key in a listing."""

    key: str
    num_bytes: int
    changed_at: datetime
    """When it was put, in UTC."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What has just been put."""

    key: str
    num_bytes: int
    sha256: str
    """In hexadecimal digits; computed from the bytes on their way into the store."""


class Writer(Protocol):
    """Bytes on their way into the store; nobody sees them before `commit`."""

    num_bytes: int
    """Written so far."""

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            Unavailable: the store takes no more; ``disk_full`` if it has no room.
        """
        ...

    def commit(self) -> StoredObject:
        """Make the bytes durable and visible under their key, all at once.

        Raises:
            Unavailable: the store could not do it.
        """
        ...

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `commit` or a second time."""
        ...


class Store(Protocol):
    """Bytes by key."""

    def writer(self, key: str) -> Writer:
        """Begin to put bytes that arrive piece by piece."""
        ...

    def put_directory(
        self, prefix: str, directory: Path, *, last: str | None = None
    ) -> list[StoredObject]:
        """Put every file of a directory tree, in the order of names, replacing what is there.

        The files must not be changed any more, only deleted: a local store may keep the very same
        bytes under a second name.

        Args:
            prefix: Where to.
            directory: Its files keep their paths relative to it.
            last: The file that makes the others count, such as ``manifest.json``. It is put after
                all others and never replaced: two writers of one prefix cannot both succeed.

        Raises:
            Conflict: the prefix has another ``last`` already. Whoever does a piece of work again
                under the same prefix calls `delete_prefix` first.
        """
        ...

    def open(self, key: str, *, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` up to but not including ``end``, in chunks.

        Raises:
            NotFound: there is no such key (said at once, not at the first chunk).
        """
        ...

    def size(self, key: str) -> int:
        """The number of bytes.

        Raises:
            NotFound: there is no such key.
        """
        ...

    def list(self, prefix: str) -> Iterator[StoredKey]:
        """Everything under a prefix, in the order of keys; the empty prefix holds everything."""
        ...

    def delete(self, key: str) -> None:
        """Remove one key; nothing happens if it is not there."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove everything under a prefix; nothing happens if there is nothing."""
        ...

    def materialise(self, prefix: str, *, cache: Path) -> Path:
        """A local directory with everything under a prefix, to be read only.

        Args:
            prefix: What to bring; it must be complete and must not change.
            cache: Where a distant store keeps what it has brought, for the next time.

        Raises:
            NotFound: there is nothing under the prefix.
        """
        ...

    def materialise_file(self, key: str, *, cache: Path) -> Path:
        """A local file with the bytes of a key, to be read only; see `materialise`."""
        ...

    def trim(self, cache: Path, *, max_bytes: int) -> int:
        """Remove what nobody has used lately from what `materialise` keeps, the oldest first.

        Args:
            cache: As given to `materialise`.
            max_bytes: How much may stay.

        Returns:
            How many bytes went.
        """
        ...

    def free_bytes(self) -> int | None:
        """How much more fits; None where nobody knows."""
        ...

    def total_bytes(self) -> int | None:
        """How much fits where nothing is yet; None where nobody knows."""
        ...

    def sweep(self, *, older_than: timedelta) -> int:
        """Remove what writers left behind that ended without `commit` or `abort`.

        Returns:
            How many leftovers went.
        """
        ...

    def check(self) -> None:
        """Try whether the store can be used.

        Raises:
            Unavailable: it cannot.
        """
        ...


def valid_key(key: str) -> str:
    """The key itself.

    Raises:
        ValueError: it is absolute, empty, too long, or has a name such as ``..`` or ``.hidden``.
            Keys are made by us (`storage.keys`), so this is our own mistake and no user's.
    """
    if len(key) > _MAX_KEY_LENGTH or not all(_NAME.fullmatch(name) for name in key.split("/")):
        raise ValueError(f"{key!r} is not a key")
    return key


def valid_prefix(prefix: str) -> str:
    """The prefix itself.

    Raises:
        ValueError: it does not end with a slash, or what stands before is not a valid key.
    """
    if not prefix.endswith("/"):
        raise ValueError(f"{prefix!r} is not a prefix; it must end with a slash")
    valid_key(prefix[:-1])
    return prefix


def files_of(directory: Path, *, last: str | None) -> list[str]:
    """The paths of a tree's files relative to it, in order, and ``last`` at the end.

    Raises:
        FileNotFoundError: ``last`` is not among them.
    """
    names = sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )
    if last is None:
        return names
    if last not in names:
        raise FileNotFoundError(f"{directory} has no {last}")
    return [name for name in names if name != last] + [last]
