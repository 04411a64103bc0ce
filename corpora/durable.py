"""Writing files that survive a power cut: bytes, then the name, then the directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Self


class HashedFile:
    """A new file that is hashed while it is written and on the disk once closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.num_bytes = 0
        self._digest = hashlib.sha256()
        self._file = path.open("wb")

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._digest.update(data)
        self.num_bytes += len(data)

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Flush to the disk and close; closing again does nothing."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, whatever happened."""
        self.close()


def write_durably(path: Path, data: bytes) -> str:
    """Write a whole small file to the disk; answers its sha256 in hexadecimal."""
    with HashedFile(path) as file:
        file.write(data)
    return file.sha256


def sync_directory(directory: Path) -> None:
    """Put the names in ``directory`` on the disk; without it a synced file may still vanish."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
