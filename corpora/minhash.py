"""MinHash signatures (Broder 1997, "On the resemblance and containment of documents").

A document is the set of its shingles: the runs of five words of its folded text. Two signatures
agree in about the share of places that the two sets have in common (their Jaccard similarity).

A corpus's digest depends on these numbers. So they are whole numbers modulo powers of two, made
from fixed constants: equal text has equal signatures on every machine and with every library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORDS_PER_SHINGLE: Final = 5
NUM_HASHES: Final = 112

Signatures = NDArray[np.uint16]
"""uint16 [num_documents, NUM_HASHES]; without a single shingle it is all zeros."""

_SPACE = 0x20
_SEGMENT_BYTES = 2**16
_BATCH_BYTES = 2**18
_WORD = 2**64
_POLYNOMIAL_BASE = 0x9E3779B97F4A7C15
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def signatures(folded: Sequence[bytes]) -> Signatures:
    """The signatures of texts as ``corpora.fingerprint.fold`` leaves them.

    Many short texts and parts of long ones are computed together, so that most of the time goes
    into arithmetic on long arrays.
    """
    minima = np.full((len(folded), NUM_HASHES), 2**32 - 1, dtype=np.uint32)
    has_shingles = np.zeros(len(folded), dtype=np.bool_)
    for texts, segments in _batches(folded):
        hashes, num_hashes = _shingle_hashes(segments)
        is_filled = num_hashes > 0
        owners = np.array(texts)[is_filled]
        has_shingles[owners] = True
        if len(owners):
            np.minimum.at(minima, owners, _minima(hashes, num_hashes[is_filled]))
    # a smallest value has small high bits: the low ones tell it from others
    low_bits = minima.astype(np.uint16)
    low_bits[~has_shingles] = 0
    return low_bits


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _batches(folded: Sequence[bytes]) -> Iterator[tuple[list[int], list[bytes]]]:
    """Segments of texts, about ``_BATCH_BYTES`` at a time, each with the number of its text."""
    texts: list[int] = []
    segments: list[bytes] = []
    num_bytes = 0
    for number, text in enumerate(folded):
        for segment in _segments(text):
            texts.append(number)
            segments.append(segment)
            num_bytes += len(segment) + 1
            if num_bytes >= _BATCH_BYTES:
                yield texts, segments
                texts, segments, num_bytes = [], [], 0
    if segments:
        yield texts, segments


def _segments(text: bytes) -> Iterator[bytes]:
    """Cut a long text so that each of its shingles is in one of the segments.

    Words longer than a segment, which no language has, are cut too.
    """
    start = 0
    while len(text) - start > _SEGMENT_BYTES:
        end = text.rfind(b" ", start + 1, start + _SEGMENT_BYTES)
        if end < 0:
            end = start + _SEGMENT_BYTES
            yield text[start:end]
            start = end
            continue
        segment = text[start:end]
        yield segment
        before, *overlap = segment.rsplit(b" ", WORDS_PER_SHINGLE - 1)
        start = end + 1 if len(overlap) < WORDS_PER_SHINGLE - 1 else start + len(before) + 1
    yield text[start:]


def _shingle_hashes(segments: Sequence[bytes]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The hash of each shingle, uint32, segment after segment, and how many each segment has.

    The hash of a run of bytes is the difference of two sums over powers of one base, so that it
    costs the same for runs of any length.
    """
    data = np.frombuffer(b" ".join(segments), dtype=np.uint8)
    powers, inverse_powers = _powers()
    sums = np.zeros(len(data) + 1, dtype=np.uint64)
    # plus one: a run of zero bytes must not weigh nothing
    np.cumsum((data.astype(np.uint64) + np.uint64(1)) * powers[: len(data)], out=sums[1:])
    spaces = np.flatnonzero(data == _SPACE)
    word_starts = np.concatenate([[0], spaces + 1])
    word_ends = np.concatenate([spaces, [len(data)]])

    lengths = np.fromiter(map(len, segments), dtype=np.int64, count=len(segments))
    segment_starts = np.cumsum(lengths + 1) - lengths - 1
    num_words = np.diff(np.searchsorted(word_starts, np.append(segment_starts, len(data) + 2)))
    reach = WORDS_PER_SHINGLE - 1
    num_runs = max(0, len(word_starts) - reach)
    segment_of_word = np.repeat(np.arange(len(segments)), num_words)
    is_whole = segment_of_word[reach:] == segment_of_word[:num_runs]
    starts = word_starts[:num_runs][is_whole]
    ends = word_ends[reach:][is_whole]
    hashes = mixed((sums[ends] - sums[starts]) * inverse_powers[starts])
    return (hashes >> np.uint64(32)).astype(np.uint32), np.maximum(num_words - reach, 0)


def _minima(hashes: NDArray[np.uint32], num_hashes: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The smallest value of each function over each segment, uint32 [num_segments, NUM_HASHES].

    Args:
        hashes: of the shingles of one segment after another.
        num_hashes: how many each segment has; none has zero.
    """
    multipliers, offsets = _functions()
    starts = np.cumsum(num_hashes) - num_hashes
    minima = np.empty((NUM_HASHES, len(num_hashes)), dtype=np.uint32)
    values = np.empty_like(hashes)
    for function in range(NUM_HASHES):
        # an odd multiplier makes it a permutation of the numbers below 2**32
        np.multiply(hashes, multipliers[function], out=values)
        np.add(values, offsets[function], out=values)
        np.minimum.reduceat(values, starts, out=minima[function])
    return minima.T


@cache
def _functions() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Multipliers and offsets, uint32 [NUM_HASHES] each: SplitMix64 with seed 0."""
    gamma = np.uint64(_GOLDEN_GAMMA)
    numbers = mixed(np.arange(1, 2 * NUM_HASHES + 1, dtype=np.uint64) * gamma)
    halves = (numbers >> np.uint64(32)).astype(np.uint32)
    return halves[:NUM_HASHES] | np.uint32(1), halves[NUM_HASHES:]


@cache
def _powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The powers of an odd base, and of its inverse, for as many bytes as a batch may have."""
    length = _BATCH_BYTES + 2 * _SEGMENT_BYTES
    inverse = pow(_POLYNOMIAL_BASE, -1, _WORD)
    return (
        np.multiply.accumulate(np.full(length, _POLYNOMIAL_BASE, dtype=np.uint64)),
        np.multiply.accumulate(np.full(length, inverse, dtype=np.uint64)),
    )
