"""Runs of words as numbers: hashed, and searched for repetition.

The shares are those of Gopher (arXiv 2112.11446, table A1). Where the paper leaves a choice, this
does as the pipelines did that used it at scale: what stands there for the first time is no
repetition (as in FineWeb's), and characters are those of words, each counted once however many
n-grams it lies in (as in RedPajama's).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio: odd, and small numbers give no pattern."""


def hash_ngrams(word_numbers: Ints, n: int) -> Hashes:
    """A polynomial hash, modulo 2**64, of the ``n`` numbers that begin at each place.

    Empty if there are fewer numbers than that.
    """
    count = len(word_numbers) - n + 1
    if count < 1:
        return np.empty(0, dtype=np.uint64)
    numbers = word_numbers.astype(np.uint64)
    hashes = numbers[:count] + np.uint64(1)
    for offset in range(1, n):
        hashes *= _MULTIPLIER
        hashes += numbers[offset : offset + count]
    return hashes


class Ngrams:
    """The words of one text, as far as their repetition goes."""

    def __init__(self, words: Sequence[str], *, number_of: Mapping[str, int]) -> None:
        """Take in the words; ``number_of`` numbers the different ones from zero on."""
        self._numbers = np.fromiter(map(number_of.__getitem__, words), np.int64, len(words))
        length_of = np.fromiter(map(len, number_of), np.int64, len(number_of))
        self._ends = np.zeros(len(words) + 1, dtype=np.int64)
        np.cumsum(length_of[self._numbers], out=self._ends[1:])
        self._most_occurrences: dict[int, int] = {}
        self._repeated_shares: dict[int, float] = {}

    def top_exceeds(self, n: int, *, max_share: float) -> bool:
        """Whether the most frequent run of ``n`` words has more of the characters of all words.

        Of equally frequent ones the longest counts. What occurs only once is no repetition.
        """
        # no run occurs more often than the shorter ones in it
        bound = min((most for m, most in self._most_occurrences.items() if m <= n), default=None)
        if bound is not None and bound * self._longest(n) / self._num_characters <= max_share:
            return False
        hashes = hash_ngrams(self._numbers, n)
        if not len(hashes):
            return False
        in_order = np.sort(hashes)
        is_last = np.ones(len(in_order), dtype=np.bool_)
        np.not_equal(in_order[1:], in_order[:-1], out=is_last[:-1])
        lasts = np.flatnonzero(is_last)
        counts = lasts.copy()
        counts[0] += 1
        counts[1:] -= lasts[:-1]
        most = self._most_occurrences[n] = int(counts.max())
        if most == 1 or most * self._longest(n) / self._num_characters <= max_share:
            return False
        is_top = np.isin(hashes, in_order[lasts[counts == most]])
        longest = hashes[np.flatnonzero(is_top)[np.argmax(self._lengths(n)[is_top])]]
        num_covered = self._num_covered(np.flatnonzero(hashes == longest), n)
        return num_covered / self._num_characters > max_share

    def repeated_exceed(self, n: int, *, max_share: float) -> bool:
        """Whether runs of ``n`` words that stood there before have more of the characters.

        A long repetition holds short ones, so the share can only fall as the run grows: where that
        of shorter runs is small enough already, longer ones need not be looked for.
        """
        shares = self._repeated_shares
        if min((share for m, share in shares.items() if m <= n), default=1.0) <= max_share:
            return False
        hashes = hash_ngrams(self._numbers, n)
        in_order = np.sort(hashes)
        num_repetitions = int(np.count_nonzero(in_order[1:] == in_order[:-1]))
        shares[n] = num_repetitions * self._longest(n) / self._num_characters
        if shares[n] > max_share:
            order = np.argsort(hashes, kind="stable")
            repetitions = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
            shares[n] = self._num_covered(repetitions, n) / self._num_characters
        return shares[n] > max_share

    @property
    def _num_characters(self) -> int:
        return int(self._ends[-1])

    def _lengths(self, n: int) -> Ints:
        """The characters of the run of ``n`` words at each place."""
        return self._ends[n:] - self._ends[:-n]

    def _longest(self, n: int) -> int:
        return int(self._lengths(n).max(initial=0))

    def _num_covered(self, starts: Ints, n: int) -> int:
        """Characters in the runs of ``n`` words that begin at ``starts``, each counted once."""
        edges = np.bincount(starts, minlength=len(self._ends))
        edges -= np.bincount(starts + n, minlength=len(self._ends))
        is_covered = np.cumsum(edges[:-1]) > 0
        return int(np.diff(self._ends)[is_covered].sum())
