"""Whether text that is held out stands in the training split as well: counted, not believed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.deduplicate import ROWS_PER_PARTITION, Duplicates
from corpora.fingerprint import Fingerprint
from corpora.partitions import Partitions, group_starts
from corpora.report import LeakageReport
from corpora.split import Split
from corpora.split_names import SplitName
from corpora.spool import Spool

_ROW_DTYPE: Final = np.dtype([("high", "<u8"), ("low", "<u8"), ("is_held_out", "?")])


def count_leaks(
    spool: Spool,
    duplicates: Duplicates,
    split: Split,
    *,
    parts: Iterable[tuple[Fingerprint, SplitName]],
    knows_near: bool,
    scratch: Path,
) -> LeakageReport:
    """Look for every held-out document among those of the training split.

    Args:
        spool: every document that was read.
        duplicates: which of them were removed, and the clusters.
        split: how the others were split.
        parts: the two parts of each document that was cut, and where each part is.
        knows_near: whether clusters hold near-duplicates too.
        scratch: a directory for tables.
    """
    exact = _Meeting(scratch, "exact-leaks", spool.num_documents)
    near = _Meeting(scratch, "near-leaks", spool.num_documents)
    for start, facts in spool.facts():
        chunk = slice(start, start + len(facts))
        is_whole = ~duplicates.is_removed[chunk]
        for high, low in split.tails:
            is_whole &= (facts["high"] != high) | (facts["low"] != low)
        is_held_out = (duplicates.hash[chunk] < np.uint64(split.threshold))[is_whole]
        exact.add(facts["high"][is_whole], facts["low"][is_whole], is_held_out)
        first = duplicates.first[chunk][is_whole].astype(np.uint64)
        near.add(first, np.zeros_like(first), is_held_out)
    for (high, low), name in parts:
        exact.add(
            np.array([high], dtype=np.uint64),
            np.array([low], dtype=np.uint64),
            np.array([name == "validation"]),
        )
    num_near = near.count()
    return LeakageReport(num_exact=exact.count(), num_near=num_near if knows_near else None)


class _Meeting:
    """Brings together what is equal, and counts what is held out and in the training split."""

    def __init__(self, scratch: Path, name: str, num_rows: int) -> None:
        number = -(-num_rows // ROWS_PER_PARTITION)
        self._partitions = Partitions(scratch, name, dtype=_ROW_DTYPE, number=number)

    def add(
        self,
        high: NDArray[np.uint64],
        low: NDArray[np.uint64],
        is_held_out: NDArray[np.bool_],
    ) -> None:
        rows = np.empty(len(high), dtype=_ROW_DTYPE)
        rows["high"], rows["low"], rows["is_held_out"] = high, low, is_held_out
        self._partitions.add(rows, key=high)

    def count(self) -> int:
        num_leaks = 0
        for rows in self._partitions.drain():
            in_order = rows[np.lexsort((rows["low"], rows["high"]))]
            starts = group_starts(in_order["high"], in_order["low"])
            held_out = np.add.reduceat(in_order["is_held_out"].astype(np.int64), starts)
            sizes = np.diff(np.append(starts, len(in_order)))
            num_leaks += int(held_out[held_out < sizes].sum())
        return num_leaks
