"""An uploaded file's bytes as they are stored, and how many of them have been read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

READ_BYTES: Final = 2**20


class Meter:
    """Tells how many bytes of a stored file were read: all of them in the end, none twice.

    What needs random access reads some bytes twice and others never.
    """

    def __init__(self, num_bytes: int, consumed: Callable[[int], None]) -> None:
        self._num_bytes = num_bytes
        self._num_told = 0
        self._consumed = consumed

    def add(self, num_bytes: int) -> None:
        """Some more were read."""
        self.reach(self._num_told + num_bytes)

    def reach(self, num_bytes: int) -> None:
        """So many were read by now."""
        num_new = min(num_bytes, self._num_bytes) - self._num_told
        if num_new > 0:
            self._num_told += num_new
            self._consumed(num_new)

    def finish(self) -> None:
        """The file is done with."""
        self.reach(self._num_bytes)


class StoredFile:
    """A file on disk that can be read as a stream and at any place."""

    def __init__(self, path: Path, *, consumed: Callable[[int], None] = lambda _: None) -> None:
        self._file = path.open("rb", buffering=0)
        self.num_bytes = os.fstat(self._file.fileno()).st_size
        self.meter = Meter(self.num_bytes, consumed)

    def __enter__(self) -> Self:
        """Nothing more: it is open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._file.close()

    @property
    def file(self) -> BinaryIO:
        """For random access."""
        return self._file

    def pieces(self) -> Iterator[bytes]:
        """Its bytes from the beginning."""
        self._file.seek(0)
        while piece := self._file.read(READ_BYTES):
            self.meter.add(len(piece))
            yield piece
