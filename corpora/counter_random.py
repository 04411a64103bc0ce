"""Random numbers without a state: each is a function of a key and a counter.

So any sample of any step can be made at once, in any order, by any process, and is always the same.
The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
OOPSLA 2014), evaluated for whole arrays of counters; it serves sampling, not secrets.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray


class Use(IntEnum):
    """What a seed is used for; each use has keys of its own."""

    SHUFFLE = 0  # the order of windows
    WORD_ORDER = 1  # which words are removed
    REPLACEMENT = 2  # what stands in their place
    SPAN_PLACE = 3  # where runs of words are removed
    SPAN_LENGTH = 4  # and how many words each has
    MIDDLE = 5  # what is moved behind its surroundings, and where it is cut
    PART = 6  # which objective of a mix a sample is for
    SOURCE = 7  # which corpus of a mixture a sample is from


_BITS_64: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB
# the same for arrays, made once: a batch's few indices take no longer than making these
_GOLDEN_64, _FIRST_64, _SECOND_64 = (np.uint64(number) for number in (_GOLDEN, _FIRST, _SECOND))
_SHIFT_30, _SHIFT_27, _SHIFT_31 = (np.uint64(number) for number in (30, 27, 31))


@lru_cache(maxsize=256)  # an epoch's are asked for at every step
def derive_key(seed: int, label: int) -> int:
    """A key of 64 bits, unrelated to those of the same seed's other labels; a seed itself."""
    return _mix_one((_mix_one(seed & _BITS_64) ^ label) + _GOLDEN & _BITS_64)


def random_bits(key: int | NDArray[np.uint64], counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 random bits for each counter, in the shape that ``key`` and ``counters`` broadcast to."""
    state = counters * _GOLDEN_64
    state = state + (np.uint64(key) if isinstance(key, int) else key)
    state ^= state >> _SHIFT_30
    state *= _FIRST_64
    state ^= state >> _SHIFT_27
    state *= _SECOND_64
    state ^= state >> _SHIFT_31
    return state


def random_shares(
    key: int | NDArray[np.uint64], counters: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """A number from 0 to below 1 for each counter, uniform, in the shape of :func:`random_bits`."""
    return (random_bits(key, counters) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def sample_keys(seed: int, use: Use, samples: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A key for each sample of a job, uint64 [W, 1]."""
    return random_bits(derive_key(seed, use), samples.astype(np.uint64))[:, None]


def permuted(positions: NDArray[np.int64], *, size: int, key: int) -> NDArray[np.int64]:
    """Where a pseudo-random permutation of ``range(size)`` sends each of ``positions``.

    An alternating Feistel network over a rectangle of ``size`` places or a few more (Black and
    Rogaway, Ciphers with Arbitrary Finite Domains, 2002): constant memory, and constant time for
    each position on average, whatever the size. What lands beyond ``size`` is sent on until it
    lands inside.
    """
    columns = max(1, round(size**0.5))
    rows = -(-size // columns)
    result = positions.copy()
    outside = np.arange(len(result))
    while len(outside):
        result[outside] = _feistel(result[outside], rows=rows, columns=columns, key=key)
        outside = outside[result[outside] >= size]
    return result


_FEISTEL_ROUNDS: Final = 4


def _feistel(
    positions: NDArray[np.int64], *, rows: int, columns: int, key: int
) -> NDArray[np.int64]:
    """One pass through the network: a permutation of ``range(rows * columns)``."""
    num_rows, num_columns = np.uint64(rows), np.uint64(columns)
    row, column = (part.astype(np.uint64) for part in np.divmod(positions, columns))
    for number in range(_FEISTEL_ROUNDS):
        row = (row + random_bits(derive_key(key, 2 * number), column) % num_rows) % num_rows
        shift = random_bits(derive_key(key, 2 * number + 1), row) % num_columns
        column = (column + shift) % num_columns
    return (row * num_columns + column).astype(np.int64)


def _mix_one(value: int) -> int:
    """The finalizer of SplitMix64 for one number."""
    value = (value ^ value >> 30) * _FIRST & _BITS_64
    value = (value ^ value >> 27) * _SECOND & _BITS_64
    return value ^ value >> 31
