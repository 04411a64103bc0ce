"""Byte-pair encoding (arXiv 1508.07909) learned from word counts: the merges of `tokenizers`.

The result is that of `BpeTrainer` of `tokenizers` to the last tie: most frequent pair first, then
the least ids, where the bytes' own ids follow the order of the letters they are written with.

Legend: P symbol positions, O occurrences of a pair, W words.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_FREQUENCY: Final = 2
"""A pair that occurs once is no pattern: merging it would learn the text by heart."""
MAX_TOKEN_BYTES: Final = 127

_NONE: Final = -1
_SHIFT: Final = 32
_MASK: Final = 2**_SHIFT - 1
_MERGES_PER_REPORT: Final = 256

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BytePairs:
    """Merges in the order in which they were learned."""

    tokens: tuple[bytes, ...]
    """Every token by its id: what ``first_tokens`` gave, then what the merges made."""
    merges: tuple[tuple[int, int], ...]
    """The ids that become one token."""


def learn_byte_pairs(
    counts: Mapping[bytes, int],
    *,
    first_tokens: tuple[bytes, ...],
    vocab_size: int,
    on_merges: Callable[[int], None] = lambda _: None,
) -> BytePairs:
    """Merge the most frequent pair again and again until there are ``vocab_size`` tokens.

    Stops earlier where no pair is left that was seen twice.

    Args:
        counts: how often each word was seen; merging stays within words.
        first_tokens: the tokens to begin with, every single byte among them once.
        vocab_size: the number of tokens wanted, the first ones included.
        on_merges: told from time to time how many merges there are.
    """
    return _Learner(counts, first_tokens).learn(vocab_size, on_merges)


class _Learner:
    """All words as one chain of symbols; a queue of pairs, each with where it stands."""

    def __init__(self, counts: Mapping[bytes, int], first_tokens: tuple[bytes, ...]) -> None:
        self._tokens = list(first_tokens)
        self._ids = {token: id_ for id_, token in enumerate(first_tokens)}
        self._read(counts)
        self._counts: dict[int, int] = {}
        self._queue: list[tuple[int, int, int]] = []  # (-count, pair, place in _occurrences)
        self._occurrences: dict[int, Int32s] = {}
        self._places: dict[int, list[int]] = {}  # of each pair, those still in the queue
        self._num_queued = 0
        self._longest = 1

    def learn(self, vocab_size: int, on_merges: Callable[[int], None]) -> BytePairs:
        self._count_first_pairs()
        merges: list[tuple[int, int]] = []
        while len(self._tokens) < vocab_size:
            found = self._most_frequent()
            if found is None:
                break
            pair, occurrences = found
            left, right = pair >> _SHIFT, pair & _MASK
            self._merge(left, right, occurrences)
            merges.append((left, right))
            if len(merges) % _MERGES_PER_REPORT == 0:
                on_merges(len(merges))
        return BytePairs(tokens=tuple(self._tokens), merges=tuple(merges))

    def _read(self, counts: Mapping[bytes, int]) -> None:
        """Lay the words of two and more bytes out one after another, a gap after each."""
        words = [word for word in sorted(counts) if len(word) > 1]
        id_of_byte = np.zeros(256, dtype=np.int32)
        for byte in range(256):
            id_of_byte[byte] = self._ids[bytes([byte])]
        lengths_W = np.array([len(word) for word in words], dtype=np.int64)
        text_P = np.frombuffer(b"\0".join([*words, b""]), dtype=np.uint8)
        ends_W = np.cumsum(lengths_W + 1) - 1
        self._symbols: Int32s = id_of_byte[text_P]
        self._symbols[ends_W] = _NONE
        positions_P = np.arange(len(text_P), dtype=np.int32)
        self._next = positions_P + 1
        self._previous = positions_P - 1
        self._word = np.repeat(np.arange(len(words), dtype=np.int32), lengths_W + 1)
        self._weights = np.array([counts[word] for word in words], dtype=np.int64)

    def _count_first_pairs(self) -> None:
        symbols = self._symbols
        if len(symbols) == 0:
            return
        is_pair_P = (symbols[:-1] != _NONE) & (symbols[1:] != _NONE)
        left_O = np.flatnonzero(is_pair_P).astype(np.int32)
        self._add(_pairs(symbols[left_O], symbols[left_O + 1]), left_O)

    def _most_frequent(self) -> tuple[int, Int32s] | None:
        """The pair to merge and its occurrences, in their order."""
        while self._queue:
            negative_count, pair, place = heapq.heappop(self._queue)
            count = self._counts[pair]
            if count != -negative_count:
                heapq.heappush(self._queue, (-count, pair, place))
                continue
            if count < MIN_FREQUENCY:
                return None
            return pair, self._take(pair, place)
        return None

    def _take(self, pair: int, place: int) -> Int32s:
        """Where a pair stands still, of the positions that its place in the queue is about.

        A pair is queued a second time when two ways lead to the same token. As in `tokenizers`,
        merging it then concerns whole words: those that either way has led to.
        """
        places = self._places[pair]
        left_O = self._occurrences[place]
        if len(places) > 1:
            words = np.unique(self._word[left_O])
            every_O = np.unique(np.concatenate([self._occurrences[other] for other in places]))
            left_O = every_O[np.isin(self._word[every_O], words)]
        places.remove(place)
        del self._occurrences[place]
        symbols = self._symbols
        stands = (symbols[left_O] == pair >> _SHIFT) & (symbols[self._next[left_O]] == pair & _MASK)
        standing_O: Int32s = left_O[stands]
        return standing_O

    def _merge(self, left: int, right: int, left_O: Int32s) -> None:
        token = self._tokens[left] + self._tokens[right]
        new = self._ids.setdefault(token, len(self._tokens))
        if new == len(self._tokens):
            self._tokens.append(token)
        if left == right:
            left_O = _without_overlaps(left_O, self._next)
        symbols, following, previous = self._symbols, self._next, self._previous
        right_O = following[left_O]
        after_O = following[right_O]
        before_O = previous[left_O]
        follows_itself = np.zeros(len(left_O), dtype=np.bool_)
        follows_itself[1:] = before_O[1:] == right_O[:-1]

        has_after = symbols[after_O] != _NONE
        has_before = (before_O >= 0) & (symbols[before_O] != _NONE) & ~follows_itself
        gone_before = before_O[has_before]
        gone_after = right_O[has_after]
        gone_O = np.concatenate([gone_before, gone_after])
        self._remove(_pairs(symbols[gone_O], symbols[following[gone_O]]), gone_O)

        symbols[left_O] = new
        symbols[right_O] = _NONE
        following[left_O] = after_O
        previous[after_O] = left_O

        made_O = np.concatenate([gone_before, left_O[has_after]])
        pair_O = _pairs(symbols[made_O], symbols[following[made_O]])
        self._longest = max(self._longest, len(token))
        if self._longest + len(token) > MAX_TOKEN_BYTES:
            short = self._are_short(pair_O)
            made_O, pair_O = made_O[short], pair_O[short]
        self._add(pair_O, made_O)

    def _are_short(self, pair_O: Int64s) -> NDArray[np.bool_]:
        """Whether each pair's token would not be too long."""
        lengths = np.array([len(token) for token in self._tokens], dtype=np.int64)
        short: NDArray[np.bool_] = (
            lengths[pair_O >> _SHIFT] + lengths[pair_O & _MASK] <= MAX_TOKEN_BYTES
        )
        return short

    def _remove(self, pair_O: Int64s, left_O: Int32s) -> None:
        if len(pair_O) == 0:
            return
        order = np.argsort(pair_O)
        pair_O, left_O = pair_O[order], left_O[order]
        begins = _begins_of_runs(pair_O)
        weights = np.add.reduceat(self._weights[self._word[left_O]], begins)
        counts = self._counts
        for pair, weight in zip(pair_O[begins].tolist(), weights.tolist(), strict=True):
            counts[pair] = counts.get(pair, 0) - weight

    def _add(self, pair_O: Int64s, left_O: Int32s) -> None:
        """Count new occurrences, and queue their pairs."""
        if len(pair_O) == 0:
            return
        order = np.lexsort((left_O, pair_O))
        pair_O, left_O = pair_O[order], left_O[order]
        begins = _begins_of_runs(pair_O)
        weights = np.add.reduceat(self._weights[self._word[left_O]], begins)
        ends = [*begins[1:].tolist(), len(pair_O)]
        for pair, weight, begin, end in zip(
            pair_O[begins].tolist(), weights.tolist(), begins.tolist(), ends, strict=True
        ):
            count = self._counts.get(pair, 0) + weight
            self._counts[pair] = count
            if count > 0:
                place = self._num_queued
                self._num_queued += 1
                self._occurrences[place] = left_O[begin:end].copy()
                self._places.setdefault(pair, []).append(place)
                heapq.heappush(self._queue, (-count, pair, place))


def _pairs(left: Int32s, right: Int32s) -> Int64s:
    return left.astype(np.int64) << _SHIFT | right


def _begins_of_runs(sorted_O: Int64s) -> Int64s:
    """Where each run of equal values begins, of at least one value."""
    changes = np.flatnonzero(sorted_O[1:] != sorted_O[:-1])
    begins = np.zeros(len(changes) + 1, dtype=np.int64)
    begins[1:] = changes + 1
    return begins


def _without_overlaps(left_O: Int32s, following: Int32s) -> Int32s:
    """Of a pair of equal symbols, every second occurrence of a run, from its beginning."""
    places = np.arange(len(left_O))
    begins = np.ones(len(left_O), dtype=np.bool_)
    begins[1:] = following[left_O[:-1]] != left_O[1:]
    first = np.maximum.accumulate(np.where(begins, places, 0))
    apart_O: Int32s = left_O[(places - first) % 2 == 0]
    return apart_O
