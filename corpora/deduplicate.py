"""Exact deduplication: of equal documents the first in canonical order is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from corpora.spool import Facts, Spool

ROWS_PER_PARTITION: Final = 2**20
_PAIR_DTYPE = np.dtype([("high", "<u8"), ("low", "<u8"), ("ordinal", "<u8")])
_LOW_BITS = 2**64 - 1


def fingerprint(text: str) -> tuple[int, int]:
    """Both halves of the xxh3-128 of ``text``, blind to case and to how white space is laid out."""
    folded = " ".join(text.casefold().split())
    whole = xxhash.xxh3_128_intdigest(folded.encode())
    return whole >> 64, whole & _LOW_BITS


def find_duplicates(
    spool: Spool, *, rows_per_partition: int = ROWS_PER_PARTITION
) -> NDArray[np.bool_]:
    """Which documents repeat an earlier one: a bitmap on disk, bool [num_documents].

    Fingerprints are sorted into partitions on disk, each small enough for memory, and each
    partition is resolved on its own: equal documents always meet in the same one.
    """
    num_documents = spool.num_documents
    is_duplicate = np.memmap(
        spool.directory / "duplicates.bin", dtype=np.bool_, mode="w+", shape=(num_documents,)
    )
    num_partitions = -(-num_documents // rows_per_partition)
    partitions = [spool.directory / f"partition-{i:05d}.bin" for i in range(num_partitions)]
    for start, facts in spool.facts():
        # a document that is repeated a million times must not fill its partition
        firsts = _mark_repeats(_pairs(facts, start), is_duplicate)
        _distribute(firsts, partitions)
    for path in partitions:
        if path.exists():
            _mark_repeats(np.fromfile(path, dtype=_PAIR_DTYPE), is_duplicate)
            path.unlink()
    return is_duplicate


def _pairs(facts: Facts, start: int) -> Facts:
    pairs = np.empty(len(facts), dtype=_PAIR_DTYPE)
    pairs["high"] = facts["high"]
    pairs["low"] = facts["low"]
    pairs["ordinal"] = np.arange(start, start + len(facts))
    return pairs


def _mark_repeats(pairs: Facts, is_duplicate: NDArray[np.bool_]) -> Facts:
    """Mark all but the first of each fingerprint, and answer the firsts."""
    pairs = pairs[np.lexsort((pairs["ordinal"], pairs["low"], pairs["high"]))]
    repeats = np.zeros(len(pairs), dtype=np.bool_)
    repeats[1:] = (pairs["high"][1:] == pairs["high"][:-1]) & (
        pairs["low"][1:] == pairs["low"][:-1]
    )
    is_duplicate[pairs["ordinal"][repeats]] = True
    return pairs[~repeats]


def _distribute(pairs: Facts, partitions: list[Path]) -> None:
    """Append each row to the partition of its fingerprint."""
    index = pairs["high"] % np.uint64(len(partitions))
    order = np.argsort(index, kind="stable")
    borders = np.searchsorted(index[order], np.arange(len(partitions) + 1))
    pairs = pairs[order]
    for i, path in enumerate(partitions):
        if borders[i] < borders[i + 1]:
            # opened anew each time: with a thousand partitions the system's limit is near
            with path.open("ab") as file:
                pairs[borders[i] : borders[i + 1]].tofile(file)
