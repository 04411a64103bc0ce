"""Sorting more rows than memory holds: parted on disk by a hash, so that equals meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.void]
"""Rows of a type with named fields."""


class Partitions:
    """Rows of one type in files, by the remainder of a key."""

    def __init__(self, directory: Path, name: str, *, dtype: np.dtype[Any], number: int) -> None:
        self.number = max(1, number)
        self._dtype = dtype
        self._paths = [directory / f"{name}-{i:05d}.bin" for i in range(self.number)]

    def add(self, rows: Rows, *, key: NDArray[np.uint64]) -> None:
        """Append each row to the partition of its key."""
        index = key % np.uint64(len(self._paths))
        order = np.argsort(index, kind="stable")
        borders = np.searchsorted(index[order], np.arange(len(self._paths) + 1))
        rows = rows[order]
        for i, path in enumerate(self._paths):
            if borders[i] < borders[i + 1]:
                # opened anew each time: with a thousand partitions the system's limit is near
                with path.open("ab") as file:
                    rows[borders[i] : borders[i + 1]].tofile(file)

    def drain(self) -> Iterator[Rows]:
        """The rows of one partition after another; each is gone from the disk afterwards."""
        for path in self._paths:
            if path.exists():
                yield np.fromfile(path, dtype=self._dtype)
                path.unlink()

    def chunks(self, number: int, *, num_rows: int) -> Iterator[Rows]:
        """The rows of one partition, ``num_rows`` at a time; they stay on the disk."""
        path = self._paths[number]
        num_bytes = path.stat().st_size if path.exists() else 0
        for offset in range(0, num_bytes, num_rows * self._dtype.itemsize):
            yield np.fromfile(path, dtype=self._dtype, count=num_rows, offset=offset)

    def clear(self) -> None:
        """Remove all rows from the disk."""
        for path in self._paths:
            path.unlink(missing_ok=True)


def group_starts(*sorted_keys: NDArray[Any]) -> NDArray[np.int64]:
    """Where each run of equal keys begins, int64 [num_groups]; the keys together are sorted."""
    is_start = np.zeros(len(sorted_keys[0]), dtype=np.bool_)
    is_start[:1] = True
    for key in sorted_keys:
        is_start[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(is_start)
