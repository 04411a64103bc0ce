"""A checkpoint's folder as one tar stream whose every byte is known beforehand.

The length follows from the files' sizes alone, and any stretch of the stream can be made without
what stands before it, so that an interrupted download goes on where it stopped (POSIX.1-1988
ustar; GNU extensions only for what that cannot express).
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.tables import CheckpointFile
from storage.base import Store
from storage.stretches import Stretch, read_stretches


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar stream that is made when it is read."""

    num_bytes: int
    etag: str
    """Differs whenever a byte of the stream does."""
    stretches: tuple[Stretch, ...]

    def read(self, store: Store, *, start: int, end: int) -> Iterator[bytes]:
        """The bytes from ``start`` up to, not including, ``end``."""
        return read_stretches(store, self.stretches, start=start, end=end)


def plan_archive(
    files: Sequence[CheckpointFile], *, prefix: str, folder: str, modified_at: datetime
) -> Archive:
    """Lay out the archive of a folder.

    Args:
        files: What is in it.
        prefix: Where the store has them.
        folder: The name that the folder gets.
        modified_at: The time that every file gets.
    """
    stretches: list[Stretch] = []
    digest = hashlib.sha256()
    for file in files:
        header = _header(f"{folder}/{file.name}", size=file.num_bytes, modified_at=modified_at)
        digest.update(header + file.sha256.encode())
        stretches.append(Stretch(len(header), literal=header))
        stretches.append(Stretch(file.num_bytes, key=f"{prefix}{file.name}"))
        padding = -file.num_bytes % tarfile.BLOCKSIZE
        stretches.append(Stretch(padding, literal=bytes(padding)))
    length = sum(stretch.num_bytes for stretch in stretches)
    # Two empty blocks end an archive, which fills whole records.
    end = 2 * tarfile.BLOCKSIZE
    end += -(length + end) % tarfile.RECORDSIZE
    stretches.append(Stretch(end, literal=bytes(end)))
    return Archive(length + end, digest.hexdigest(), tuple(stretches))


def _header(name: str, *, size: int, modified_at: datetime) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mtime = int(modified_at.timestamp())
    info.mode = 0o644
    return info.tobuf(format=tarfile.GNU_FORMAT)
