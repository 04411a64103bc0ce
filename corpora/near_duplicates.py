"""Near deduplication: of documents that share most of their words the longest is kept.

Signatures are cut into bands. Documents with an equal band are candidates (locality-sensitive
hashing; Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", 3.4), and are linked if their
whole signatures agree enough. What hangs together by links is a cluster.

A corpus may have versions, each made of the one before by adding documents. What an earlier version
trained on never becomes a held-out text of a later one, nor the other way round, and documents that
repeat each other never straddle:

- A cluster is on the side that its hash says, and keeps its hash while it grows: that of its first
  member when it was formed.
- Where new documents join clusters of an earlier version, the joined one has the largest of their
  hashes: it is held out only if all of them were.
- If it is not, those of its members that ever were held out are not the ones that are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.deduplicate import ROWS_PER_PARTITION, Duplicates, find_repeats, new_table, ranges
from corpora.fingerprint import Fingerprint
from corpora.minhash import NUM_HASHES, Signatures, mixed
from corpora.partitions import Partitions, Rows, group_starts
from corpora.progress import ShareCallback
from corpora.spool import Spool

NUM_BANDS: Final = 14
HASHES_PER_BAND: Final = NUM_HASHES // NUM_BANDS
"""Documents of similarity ``s`` become candidates with probability ``1 - (1 - s**8)**14``: 0.92 at
0.8, 0.56 at 0.7 and 0.05 at 0.5. The setting is FineWeb's (arXiv 2406.17557)."""
LEAST_AGREEMENT: Final = 0.7
"""The share of two signatures that must agree; it is right to 0.04 (one standard deviation)."""

_BANDS_SHARE: Final = 0.5
_LEAST_AGREEING = int(np.ceil(LEAST_AGREEMENT * NUM_HASHES))
_WORDS_PER_BAND = HASHES_PER_BAND * 16 // 64
_PAIRS_AT_ONCE = 2**14
_LINKS_AT_ONCE = 2**18
_BAND_DTYPE = np.dtype(
    [("hash", "<u8"), ("following", "<u8"), ("ordinal", "<u8"), ("chunk", "<u8")]
)
_LINK_DTYPE = np.dtype([("first", "<u8"), ("second", "<u8")])
_PINNED = np.uint64(2**63)


@dataclass(frozen=True)
class Inheritance:
    """What a corpus takes over from the one that it extends."""

    num_documents: tuple[int, ...]
    """How many spooled documents each earlier version had in all."""
    threshold: int
    """Clusters whose hash is below are held out."""
    pinned: frozenset[Fingerprint] = frozenset()
    """Documents of which a part is held out: they are kept."""


def find_near_duplicates(
    spool: Spool,
    *,
    scratch: Path,
    inheritance: Inheritance | None = None,
    rows_per_partition: int = ROWS_PER_PARTITION,
    told: ShareCallback = lambda _: None,
) -> Duplicates:
    """Of documents that repeat each other, exactly or nearly, all but the longest are removed.

    Of equally long ones the first is kept.

    Args:
        spool: every document, with signatures.
        scratch: a directory for tables, which must stay as long as the answer is used.
        inheritance: if the corpus extends another.
        rows_per_partition: how many rows are sorted in memory at once, about.
        told: what share is done.
    """
    found = find_repeats(spool, scratch=scratch, rows_per_partition=rows_per_partition)
    borders = [*(inheritance.num_documents if inheritance else ()), spool.num_documents]
    links = Partitions(scratch, "links", dtype=_LINK_DTYPE, number=len(borders))
    for pairs in near_duplicate_pairs(
        spool,
        found.is_repeat,
        versions=borders,
        scratch=scratch,
        rows_per_partition=rows_per_partition,
        told=told,
    ):
        version = np.searchsorted(borders, pairs["second"], side="right")
        links.add(pairs, key=version.astype(np.uint64))
    clusters = _Clusters(found, scratch=scratch)
    for number, num_documents in enumerate(borders):
        new_links = links.chunks(number, num_rows=_LINKS_AT_ONCE)
        clusters.grow(new_links, num_documents=num_documents)
    links.clear()
    _keep_the_longest(spool, clusters, inheritance, scratch=scratch)
    return found


def near_duplicate_pairs(
    spool: Spool,
    is_repeat: NDArray[np.bool_],
    *,
    versions: Sequence[int],
    scratch: Path,
    rows_per_partition: int = ROWS_PER_PARTITION,
    told: ShareCallback = lambda _: None,
) -> Iterator[Rows]:
    """Pairs of ordinals, ``first`` and ``second``, of documents that are nearly the same.

    Not all such pairs, but enough for whoever follows them from one document to the next. The pairs
    of a version (``versions``: how many documents each has in all) are among those of the next.
    """
    for pairs in _candidates(
        spool,
        is_repeat,
        versions=versions,
        scratch=scratch,
        rows_per_partition=rows_per_partition,
        told=told,
    ):
        yield pairs[_agree(spool, pairs)]


def _candidates(
    spool: Spool,
    is_repeat: NDArray[np.bool_],
    *,
    versions: Sequence[int],
    scratch: Path,
    rows_per_partition: int,
    told: ShareCallback,
) -> Iterator[Rows]:
    """Pairs of documents with an equal band, the earlier one first; rows of ``_LINK_DTYPE``.

    Repeats are left out. The documents with one band are put in order, by their following band so
    that the most similar ones meet, and each is paired with the one before it: their number does
    not square, and the pairs depend on the documents alone, not on what is done at once.
    """
    partitions = Partitions(
        scratch,
        "bands",
        dtype=_BAND_DTYPE,
        number=-(-spool.num_documents * NUM_BANDS // rows_per_partition),
    )
    for start, signatures in spool.signatures():
        is_compared = signatures.any(axis=1) & ~is_repeat[start : start + len(signatures)]
        rows = _in_order(_bands(signatures[is_compared], start + np.flatnonzero(is_compared)))
        rows["chunk"] = start
        is_same = _is_same(rows, "hash") & _is_same(rows, "following")
        yield from _in_parts(_pairs(rows, is_same))
        # of those with both bands equal the others are paired: a band of millions stays small
        is_outermost = ~is_same | ~np.append(is_same[1:], np.False_)[: len(rows)]
        partitions.add(rows[is_outermost], key=rows["hash"][is_outermost])
        told(_BANDS_SHARE * (start + len(signatures)) / spool.num_documents)
    for number, partition in enumerate(partitions.drain(), start=1):
        in_order = _in_order(partition)
        for num_documents in versions:
            # a later document must not come between two that an earlier version compared
            rows = in_order[in_order["ordinal"] < num_documents]
            is_done = _is_same(rows, "following") & _is_same(rows, "chunk")
            yield from _in_parts(_pairs(rows, _is_same(rows, "hash") & ~is_done))
        told(_BANDS_SHARE + (1 - _BANDS_SHARE) * number / partitions.number)


def _bands(signatures: Signatures, ordinals: NDArray[np.int64]) -> Rows:
    """A row for each band of each document: no two bands of different places are equal."""
    words = np.ascontiguousarray(signatures).view("<u8").reshape(-1, NUM_BANDS, _WORDS_PER_BAND)
    hashes = np.broadcast_to(np.arange(1, NUM_BANDS + 1, dtype=np.uint64), words.shape[:2])
    for word in range(_WORDS_PER_BAND):
        hashes = mixed(hashes ^ words[:, :, word])
    rows = np.empty(hashes.size, dtype=_BAND_DTYPE)
    rows["hash"] = hashes.ravel()
    rows["following"] = np.roll(hashes, -1, axis=1).ravel()
    rows["ordinal"] = np.repeat(ordinals, NUM_BANDS)
    return rows


def _in_order(rows: Rows) -> Rows:
    return rows[np.lexsort((rows["ordinal"], rows["following"], rows["hash"]))]


def _is_same(rows: Rows, field: str) -> NDArray[np.bool_]:
    """Whether each row has the same value as the one before it."""
    same = np.zeros(len(rows), dtype=np.bool_)
    same[1:] = rows[field][1:] == rows[field][:-1]
    return same


def _pairs(rows: Rows, is_paired: NDArray[np.bool_]) -> Rows:
    """The documents of these rows, each with that of the row before it."""
    places = np.flatnonzero(is_paired)
    one, other = rows["ordinal"][places - 1], rows["ordinal"][places]
    pairs = np.empty(len(places), dtype=_LINK_DTYPE)
    pairs["first"], pairs["second"] = np.minimum(one, other), np.maximum(one, other)
    return np.unique(pairs)


def _in_parts(pairs: Rows) -> Iterator[Rows]:
    return (pairs[i : i + _PAIRS_AT_ONCE] for i in range(0, len(pairs), _PAIRS_AT_ONCE))


def _agree(spool: Spool, pairs: Rows) -> NDArray[np.bool_]:
    """Whether the signatures of each pair agree in as many places as they must."""
    first = spool.signatures_of(pairs["first"].astype(np.int64))
    second = spool.signatures_of(pairs["second"].astype(np.int64))
    agreeing: NDArray[np.bool_] = (first == second).sum(axis=1) >= _LEAST_AGREEING
    return agreeing


class _Clusters:
    """Documents that hang together, version after version; each known by its first member.

    The table ``first`` of the duplicates holds for each document an earlier one of its cluster, for
    the first one itself.
    """

    def __init__(self, duplicates: Duplicates, *, scratch: Path) -> None:
        self.duplicates = duplicates
        self.lowest = new_table(scratch / "lowest.bin", np.uint64, len(duplicates.first))
        """The lowest hash that a document's cluster ever had in a version that held it."""
        self._num_settled = 0

    def grow(self, links: Iterator[Rows], *, num_documents: int) -> None:
        """Make the next version, which holds the first ``num_documents``."""
        for chunk in links:
            self._join(chunk["first"].astype(np.int64), chunk["second"].astype(np.int64))
        first, hashes = self.duplicates.first, self.duplicates.hash
        for start, end in ranges(num_documents):
            first[start:end] = self._roots(first[start:end])
            hashes[start:end] = hashes[first[start:end]]
            num_old = max(0, min(end, self._num_settled) - start)
            old, new = slice(start, start + num_old), slice(start + num_old, end)
            self.lowest[old] = np.minimum(self.lowest[old], hashes[old])
            self.lowest[new] = hashes[new]
        self._num_settled = num_documents

    def _join(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> None:
        """Make one cluster of the two of each pair: hook the later root under the earlier one."""
        while True:
            one, other = self._roots(one), self._roots(other)
            is_open = one != other
            if not is_open.any():
                return
            one, other = one[is_open], other[is_open]
            earlier, later = np.minimum(one, other), np.maximum(one, other)
            # of several roots to hook it under, the earliest; the others' turn comes next time
            order = np.lexsort((earlier, later))
            hooked = order[group_starts(later[order])]
            self.duplicates.first[later[hooked]] = earlier[hooked]
            self._inherit(later[hooked])

    def _inherit(self, hooked: NDArray[np.int64]) -> None:
        """Give the hashes of clusters of earlier versions to the root that they now have."""
        old = hooked[hooked < self._num_settled]
        hashes = self.duplicates.hash
        np.maximum.at(hashes, self._roots(old), hashes[old])

    def _roots(self, ordinals: NDArray[np.int64]) -> NDArray[np.int64]:
        """The first members of clusters; every step halves the way that is left to them."""
        first = self.duplicates.first
        while True:
            parents = first[ordinals]
            grandparents = first[parents]
            if np.array_equal(parents, grandparents):
                return parents
            first[ordinals] = grandparents


def _keep_the_longest(
    spool: Spool, clusters: _Clusters, inheritance: Inheritance | None, *, scratch: Path
) -> None:
    """Remove all but the best member of each cluster."""
    found = clusters.duplicates
    best = new_table(scratch / "best.bin", np.uint64, spool.num_documents)
    has_kept = new_table(scratch / "has-kept.bin", np.bool_, spool.num_documents)
    for start, scores in _scores(spool, clusters, inheritance):
        np.maximum.at(best, found.first[start : start + len(scores)], scores)
    for start, scores in _scores(spool, clusters, inheritance):
        chunk = slice(start, start + len(scores))
        first = found.first[chunk]
        could_be_kept = np.flatnonzero((scores > 0) & (scores == best[first]) & ~has_kept[first])
        _, earliest = np.unique(first[could_be_kept], return_index=True)
        kept = could_be_kept[earliest]
        has_kept[first[kept]] = True
        found.is_removed[chunk] = True
        found.is_removed[start + kept] = False


def _scores(
    spool: Spool, clusters: _Clusters, inheritance: Inheritance | None
) -> Iterator[tuple[int, NDArray[np.uint64]]]:
    """How much is to be said for keeping each document: zero if it must not be kept."""
    found = clusters.duplicates
    for start, facts in spool.facts():
        chunk = slice(start, start + len(facts))
        scores = facts["num_bytes"].astype(np.uint64)
        if inheritance:
            threshold = np.uint64(inheritance.threshold)
            was_held_out = clusters.lowest[chunk] < threshold
            scores[was_held_out & (found.hash[chunk] >= threshold)] = 0
            for high, low in inheritance.pinned:
                scores[(facts["high"] == high) & (facts["low"] == low)] |= _PINNED
        scores[found.is_repeat[chunk]] = 0
        yield start, scores
