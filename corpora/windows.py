"""Token windows: a split cut into pieces of one length, in reading order or shuffled.

The stream of a split is its documents, each behind an `<|endoftext|>`, and one more at the end.

Shape suffixes: W windows, R tokens read for a window.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from corpora.counter_random import Use, derive_key, permuted
from corpora.removers.samples import Reading, Remover, Samples
from corpora.vocabulary import END_OF_TEXT, PAD


class TokenStream(Protocol):
    """Random access to the tokens of a split."""

    @property
    def num_tokens(self) -> int:
        """How many there are."""
        ...

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """``count`` of them from ``start`` on."""
        ...


@dataclass(frozen=True)
class TokenWindows:
    """A split cut into the windows of a remover; no token is lost.

    The last window ends with the split and so overlaps the one before it. A split shorter than a
    window is one window, filled up with `<|pad|>`.
    """

    stream: TokenStream
    remover: Remover

    @cached_property
    def count(self) -> int:
        """How many windows there are; 0 for an empty split."""
        if not self.stream.num_tokens:
            return 0
        shared = self.remover.tokens_read - self.remover.stride
        return max(1, -(-(self._stream_length - shared) // self.remover.stride))

    def starts(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where in the stream each of these windows begins, int64 [W]."""
        last = max(0, self._stream_length - self.remover.tokens_read)
        return np.minimum(windows * self.remover.stride, last)

    def read(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The tokens of these windows, [W, R]."""
        num_tokens, count = self.stream.num_tokens, self.remover.tokens_read
        tokens_WR = np.empty((len(windows), count), dtype=np.int64)
        for row, start in zip(tokens_WR, self.starts(windows).tolist(), strict=True):
            available = min(count, num_tokens - start)
            row[:available] = self.stream.read(start, available)
            if available < count:
                row[available] = END_OF_TEXT
                row[available + 1 :] = PAD
        return tokens_WR

    def samples(self, indices: NDArray[np.int64], *, seed: int) -> Samples:
        """What a job with this seed sees as its samples of these indices."""
        tokens_WR = self.read(self.of_samples(indices, seed=seed))
        return self.remover.remove(tokens_WR, seed=seed, samples=indices)

    def readings(self, indices: NDArray[np.int64], *, seed: int) -> list[Reading]:
        """What is removed from what in these samples, for people."""
        tokens_WR = self.read(self.of_samples(indices, seed=seed))
        return self.remover.read(tokens_WR, seed=seed, samples=indices)

    def of_samples(self, indices: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
        """Which window each of these sample indices is made from.

        An epoch is all windows once, in an order of its own; epochs follow without a gap.
        """
        epochs, places = np.divmod(indices, self.count)
        key = derive_key(seed, Use.SHUFFLE)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            places[here] = permuted(places[here], size=self.count, key=derive_key(key, epoch))
        return places

    @property
    def _stream_length(self) -> int:
        return self.stream.num_tokens + 1
