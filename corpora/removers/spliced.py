"""Sequences put together from runs of others.

A sample that rearranges its window is described by runs: where each begins in a source, and how
many tokens it has. The source is the windows' tokens and, behind them, what may be written between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from corpora.vocabulary import NUM_SPECIAL_TOKENS


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Tokens of windows, one after the other, the special tokens, and some filling."""

    tokens: NDArray[np.int64]
    specials: int
    """Where the special token of id 0 stands; the others follow."""
    filling: int
    """Where the filling begins."""

    @classmethod
    def of(cls, tokens: NDArray[np.int64], *, filler: int, num_fillers: int) -> Self:
        """The windows' tokens in one row, with room for ``num_fillers`` in a run."""
        specials = np.arange(NUM_SPECIAL_TOKENS, dtype=np.int64)
        return cls(
            tokens=np.concatenate([tokens, specials, np.full(num_fillers, filler)]),
            specials=len(tokens),
            filling=len(tokens) + len(specials),
        )

    def spliced(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """The runs one after the other."""
        ends = np.cumsum(lengths)
        shifts = starts - ends + lengths
        places = np.repeat(shifts, lengths) + np.arange(ends[-1])
        return self.tokens.take(places)
