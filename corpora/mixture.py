"""Samples from several corpora, each giving its share.

A block of 2,048 samples holds the same number from each corpus, in an order of its own. So a
mixture is exact from block to block, any sample can be found at once, and a small corpus comes
round more often than a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from corpora.counter_random import Use, derive_key, permuted
from corpora.removers.samples import Reading, Samples
from corpora.windows import TokenWindows

BLOCK: Final = 2048


class SampleSource(Protocol):
    """Where a job's samples come from, by their index."""

    @property
    def count(self) -> int:
        """How many windows there are."""
        ...

    def samples(self, indices: NDArray[np.int64], *, seed: int) -> Samples:
        """What a job with this seed sees as its samples of these indices."""
        ...

    def readings(self, indices: NDArray[np.int64], *, seed: int) -> list[Reading]:
        """What is removed from what in these samples, for people."""
        ...


@dataclass(frozen=True)
class MixedWindows:
    """The windows of several corpora, cut for one remover."""

    sources: tuple[TokenWindows, ...]
    shares: tuple[float, ...]
    """Of each source; together 1."""

    @property
    def count(self) -> int:
        """Windows of all sources."""
        return sum(source.count for source in self.sources)

    @cached_property
    def per_block(self) -> NDArray[np.int64]:
        """How many samples of a block each source gives: its share, rounded, and at least one."""
        exact = np.array(self.shares) * BLOCK
        counts: NDArray[np.int64] = np.maximum(1, np.floor(exact)).astype(np.int64)
        while counts.sum() != BLOCK:
            step = 1 if counts.sum() < BLOCK else -1
            # whoever is furthest from its share; a source never loses its only sample
            distance = np.where((counts > 1) | (step > 0), step * (exact - counts), -np.inf)
            counts[np.argmax(distance)] += step
        return counts

    def epochs(self, num_samples: int) -> list[float]:
        """How often each source has been read through after so many samples."""
        return [
            num_samples * per_block / BLOCK / source.count
            for per_block, source in zip(self.per_block.tolist(), self.sources, strict=True)
        ]

    def samples(self, indices: NDArray[np.int64], *, seed: int) -> Samples:
        """What a job with this seed sees as its samples of these indices."""
        remover = self.sources[0].remover
        return remover.remove(self._read(indices, seed=seed), seed=seed, samples=indices)

    def readings(self, indices: NDArray[np.int64], *, seed: int) -> list[Reading]:
        """What is removed from what in these samples, for people."""
        remover = self.sources[0].remover
        return remover.read(self._read(indices, seed=seed), seed=seed, samples=indices)

    def places(
        self, indices: NDArray[np.int64], *, seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which source each sample is from, and its number among that source's samples."""
        blocks, places = np.divmod(indices, BLOCK)
        key = derive_key(seed, Use.SOURCE)
        for block in np.unique(blocks).tolist():
            here = blocks == block
            places[here] = permuted(places[here], size=BLOCK, key=derive_key(key, block))
        ends = np.cumsum(self.per_block)
        sources = np.searchsorted(ends, places, side="right")
        per_block = self.per_block[sources]
        return sources, blocks * per_block + places - (ends[sources] - per_block)

    def _read(self, indices: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
        """The tokens of these samples, [W, R]."""
        sources, numbers = self.places(indices, seed=seed)
        tokens_WR = np.empty((len(indices), self.sources[0].remover.tokens_read), dtype=np.int64)
        for number in np.unique(sources).tolist():
            here, windows = sources == number, self.sources[number]
            order = derive_key(derive_key(seed, Use.SOURCE), -1 - number)
            tokens_WR[here] = windows.read(windows.of_samples(numbers[here], seed=order))
        return tokens_WR


def mixed(sources: Sequence[TokenWindows], *, shares: Sequence[float]) -> SampleSource:
    """Windows of one corpus, or of several mixed."""
    if len(sources) == 1:
        return sources[0]
    return MixedWindows(tuple(sources), tuple(shares))
