"""Which documents repeat others: found on disk, whatever their number.

Every document has an ordinal, its place in canonical order. Documents that repeat each other are a
cluster, known by its first member. Tables with a row for each document lie in files, and what has
to meet is brought together by sorting into partitions on disk, each small enough for memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from corpora.partitions import Partitions, group_starts
from corpora.progress import ShareCallback
from corpora.spool import Facts, Spool

ROWS_PER_PARTITION: Final = 2**20
_SCAN_SHARE: Final = 0.5
Scalar = TypeVar("Scalar", bound=np.generic)

_ROW_DTYPE = np.dtype([("high", "<u8"), ("low", "<u8"), ("ordinal", "<u8")])


@dataclass(frozen=True)
class Duplicates:
    """What is known of each document once all were compared; an entry for each ordinal."""

    is_repeat: NDArray[np.bool_]
    """It equals an earlier one but for case and white space."""
    is_removed: NDArray[np.bool_]
    """The corpus does not keep it: a repeat, or a near-duplicate of one that is kept."""
    first: NDArray[np.int64]
    """The first member of its cluster."""
    hash: NDArray[np.uint64]
    """What decides on which side of the split its cluster is."""


def no_duplicates(spool: Spool, *, scratch: Path) -> Duplicates:
    """Every document stays, whatever it repeats."""
    return _nothing_found(spool, scratch)


def find_repeats(
    spool: Spool,
    *,
    scratch: Path,
    rows_per_partition: int = ROWS_PER_PARTITION,
    told: ShareCallback = lambda _: None,
) -> Duplicates:
    """Of documents equal but for case and white space all but the first are removed.

    Args:
        spool: every document.
        scratch: a directory for tables, which must stay as long as the answer is used.
        rows_per_partition: how many rows are sorted in memory at once, about.
        told: what share is done.
    """
    found = _nothing_found(spool, scratch)
    partitions = Partitions(
        scratch,
        "fingerprints",
        dtype=_ROW_DTYPE,
        number=-(-spool.num_documents // rows_per_partition),
    )
    for start, facts in spool.facts():
        # a document that is repeated a million times must not fill its partition
        firsts = _mark(_rows(facts, start), found)
        partitions.add(firsts, key=firsts["high"])
        told(_SCAN_SHARE * (start + len(facts)) / spool.num_documents)
    for number, rows in enumerate(partitions.drain(), start=1):
        _mark(rows, found)
        told(_SCAN_SHARE + (1 - _SCAN_SHARE) * number / partitions.number)
    for start, end in ranges(spool.num_documents):
        # a chunk's first may itself repeat a document of an earlier chunk
        found.first[start:end] = found.first[found.first[start:end]]
    found.is_removed[:] = found.is_repeat
    return found


def _nothing_found(spool: Spool, scratch: Path) -> Duplicates:
    """Nothing repeats anything yet, so each is a cluster of its own."""
    found = Duplicates(
        is_repeat=new_table(scratch / "is-repeat.bin", np.bool_, spool.num_documents),
        is_removed=new_table(scratch / "is-removed.bin", np.bool_, spool.num_documents),
        first=new_table(scratch / "first.bin", np.int64, spool.num_documents),
        hash=new_table(scratch / "hash.bin", np.uint64, spool.num_documents),
    )
    for start, facts in spool.facts():
        end = start + len(facts)
        found.first[start:end] = np.arange(start, end)
        found.hash[start:end] = facts["low"]
    return found


def new_table(path: Path, dtype: type[Scalar], num_rows: int) -> NDArray[Scalar]:
    """A table of zeros in a file, so that memory is not its limit.

    Raises:
        OSError: the disk has no room for it. Found out later, it would be a signal that kills.
    """
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, num_rows * np.dtype(dtype).itemsize)
    return np.memmap(path, dtype=dtype, mode="r+", shape=(num_rows,)).view(np.ndarray)


def ranges(num_rows: int, *, step: int = ROWS_PER_PARTITION) -> Iterator[tuple[int, int]]:
    """Borders of chunks of a table."""
    return ((start, min(num_rows, start + step)) for start in range(0, num_rows, step))


def _rows(facts: Facts, start: int) -> Facts:
    rows = np.empty(len(facts), dtype=_ROW_DTYPE)
    rows["high"] = facts["high"]
    rows["low"] = facts["low"]
    rows["ordinal"] = np.arange(start, start + len(facts))
    return rows


def _mark(rows: Facts, found: Duplicates) -> Facts:
    """Mark all but the first of each fingerprint, and answer the firsts."""
    rows = rows[np.lexsort((rows["ordinal"], rows["low"], rows["high"]))]
    starts = group_starts(rows["high"], rows["low"])
    is_repeat = np.ones(len(rows), dtype=np.bool_)
    is_repeat[starts] = False
    group = np.cumsum(~is_repeat) - 1
    ordinals = rows["ordinal"].astype(np.int64)
    found.is_repeat[ordinals[is_repeat]] = True
    found.first[ordinals[is_repeat]] = ordinals[starts][group[is_repeat]]
    return rows[starts]
