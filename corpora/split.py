"""Train and validation: chosen by content, so that documents which repeat each other stay together.

A document is held out iff the hash of its cluster lies below a threshold. Which side it is on does
not depend on what else the corpus holds, unless the threshold has to be raised.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from corpora.deduplicate import Duplicates
from corpora.documents import SplitRule
from corpora.fingerprint import Fingerprint, as_fingerprint, as_hexadecimal
from corpora.readers.plain import BORDERS
from corpora.spool import Spool

LEAST_SHARE: Final = 0.01
MOST_SHARE: Final = 0.1
MOST_OF_WANTED: Final = 1.5
"""Chance may hold out this many times ``validation_fraction`` before it counts as too much."""
ENOUGH_BYTES: Final = 2**13
"""A small corpus holds out more than 1 %, up to ``LEAST_SHARE_IF_SMALL``: a window must fit."""
LEAST_SHARE_IF_SMALL: Final = 0.05

_HASH_RANGE = 2**64
_BIN_SHIFT = np.uint64(48)
_NUM_BINS = 2**16
_NUM_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Split:
    """What is held out for validation: documents below a threshold, or the tails of some."""

    threshold: int
    """Documents whose cluster's hash is below this are held out whole."""
    tails: dict[Fingerprint, int] = field(default_factory=dict)
    """About how many bytes are held out of the end of these documents."""
    is_inherited: bool = False
    """It was chosen for the corpus that this one extends."""

    @classmethod
    def inherited(cls, rule: SplitRule) -> Split:
        """The split of the corpus that is extended."""
        tails = {as_fingerprint(name): num_bytes for name, num_bytes in rule.tails.items()}
        return cls(int(rule.threshold, 16), tails, is_inherited=True)

    def rule(self, num_documents: Sequence[int]) -> SplitRule:
        """As it is stored; ``num_documents`` were read for each version."""
        tails = {as_hexadecimal(fingerprint): take for fingerprint, take in self.tails.items()}
        return SplitRule(
            threshold=f"{self.threshold:016x}",
            tails=dict(sorted(tails.items())),
            num_documents=tuple(num_documents),
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """The rows of a chunk that are no duplicates."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    hash: NDArray[np.uint64]
    num_bytes: NDArray[np.int64]


class _Corpus:
    """The kept documents' facts, chunk by chunk, as often as needed."""

    def __init__(self, spool: Spool, duplicates: Duplicates) -> None:
        self._spool = spool
        self._duplicates = duplicates
        self.num_bytes = sum(int(kept.num_bytes.sum()) for kept in self.chunks())

    def chunks(self) -> Iterator[_Kept]:
        for start, facts in self._spool.facts():
            is_kept = ~self._duplicates.is_removed[start : start + len(facts)]
            kept = facts[is_kept]
            yield _Kept(
                kept["high"],
                kept["low"],
                self._duplicates.hash[start : start + len(facts)][is_kept],
                kept["num_bytes"].astype(np.int64),
            )

    def bytes_below(self, threshold: int) -> int:
        return sum(
            int(kept.num_bytes[kept.hash < np.uint64(threshold)].sum()) for kept in self.chunks()
        )


def choose_split(spool: Spool, duplicates: Duplicates, *, fraction: float) -> Split:
    """Hold out about ``fraction`` of the text, by its bytes.

    The threshold starts at ``fraction`` and is raised until validation holds 1 % of the bytes (of a
    small corpus more). If no threshold gives that without taking more than a tenth, as with one
    book, the tails of the longest documents are held out instead.
    """
    corpus = _Corpus(spool, duplicates)
    least = max(
        LEAST_SHARE * corpus.num_bytes, min(ENOUGH_BYTES, LEAST_SHARE_IF_SMALL * corpus.num_bytes)
    )
    most_share = max(MOST_SHARE, MOST_OF_WANTED * fraction)
    threshold = min(int(fraction * _HASH_RANGE), _HASH_RANGE - 1)
    held_out = corpus.bytes_below(threshold)
    if held_out < least:
        threshold = _raised_threshold(corpus, least)
        held_out = corpus.bytes_below(threshold)
    if least <= held_out <= most_share * corpus.num_bytes:
        return Split(threshold)
    # a cut may be half a tail too late, and what is left of it must still be enough
    goal = max(least, 2 * LEAST_SHARE * corpus.num_bytes, fraction * corpus.num_bytes)
    return Split(0, _choose_tails(corpus, goal=int(goal), most_share=most_share))


def cut_tail(text: str, *, num_bytes: int) -> int:
    """Where the last ``num_bytes`` of ``text`` begin, up to half more or less to cut well.

    That is at the nearest start of a paragraph, else of a line, else of a word.
    """
    wanted = max(1, num_bytes * len(text) // len(text.encode()))
    aim = max(1, len(text) - wanted)
    earliest = max(1, aim - wanted // 2)
    latest = min(aim + wanted // 2, len(text.rstrip()) - 1)
    for border in BORDERS:
        before = text.rfind(border, max(0, earliest - len(border)), aim)
        after = text.find(border, max(0, aim - len(border)), latest)
        cuts = [index + len(border) for index in (before, after) if index >= 0]
        if cuts:
            return min(cuts, key=lambda cut: abs(cut - aim))
    return aim


def _raised_threshold(corpus: _Corpus, least: float) -> int:
    """The smallest threshold below which there are ``least`` bytes."""
    histogram = np.zeros(_NUM_BINS)
    for kept in corpus.chunks():
        bins = (kept.hash >> _BIN_SHIFT).astype(np.int64)
        histogram += np.bincount(bins, weights=kept.num_bytes, minlength=_NUM_BINS)
    below = np.cumsum(histogram)
    bin_index = min(int(np.searchsorted(below, least)), _NUM_BINS - 1)
    missing = least - (below[bin_index] - histogram[bin_index])
    for hash_, num_bytes in sorted(_bytes_by_hash(corpus, bin_index).items()):
        missing -= num_bytes
        if missing <= 0:
            return min(hash_ + 1, _HASH_RANGE - 1)
    return _HASH_RANGE - 1


def _bytes_by_hash(corpus: _Corpus, bin_index: int) -> dict[int, int]:
    sums: dict[int, int] = {}
    for kept in corpus.chunks():
        inside = (kept.hash >> _BIN_SHIFT) == np.uint64(bin_index)
        for hash_, num_bytes in zip(
            kept.hash[inside].tolist(), kept.num_bytes[inside].tolist(), strict=True
        ):
            sums[hash_] = sums.get(hash_, 0) + num_bytes
    return sums


def _choose_tails(corpus: _Corpus, *, goal: int, most_share: float) -> dict[Fingerprint, int]:
    """Take from the longest documents, no more than ``most_share`` of each, until it is enough."""
    tails: dict[Fingerprint, int] = {}
    for num_bytes, high, low in _longest(corpus):
        # a cut may be half a tail too early
        take = min(int(num_bytes * most_share / MOST_OF_WANTED), goal)
        if take < 1:
            break
        # equal documents, where they are kept, are all cut alike
        tails[high, low] = take
        goal -= take
    return tails


def _longest(corpus: _Corpus) -> list[tuple[int, int, int]]:
    longest: list[tuple[int, int, int]] = []
    for kept in corpus.chunks():
        top = np.argsort(-kept.num_bytes, kind="stable")[:_NUM_LONGEST]
        rows = zip(
            kept.num_bytes[top].tolist(), kept.high[top].tolist(), kept.low[top].tolist(),
            strict=True,
        )  # fmt: skip
        longest = heapq.nlargest(_NUM_LONGEST, [*longest, *rows])
    return longest
