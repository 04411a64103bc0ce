"""What a remover makes of windows of tokens, and what every remover offers.

Shape suffixes: W windows, R tokens read for a window, T context length, L labels of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from corpora.vocabulary import END_OF_TEXT

NOWHERE: Final = 0
"""The place that padding among the labels points at."""


def document_numbers(input_ids_WT: NDArray[np.int64]) -> NDArray[np.int32]:
    """Which document of its window each token is of, int32 [W, T]; each begins with its mark."""
    is_mark_WT = input_ids_WT == END_OF_TEXT
    return np.cumsum(is_mark_WT, axis=1, dtype=np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a model sees of some windows and what it must say."""

    input_ids: NDArray[np.int64]
    """[W, T]."""
    labels: NDArray[np.int64]
    """The tokens to be predicted, [W, L]."""
    positions: NDArray[np.int64] | None
    """Where in the input each label is predicted, ascending, [W, L]; None: everywhere, L = T."""
    loss_mask: NDArray[np.bool_]
    """Which labels count, [W, L]."""
    documents: NDArray[np.int32] | None = None
    """The number, within its window, of the document that each token of the input is of, [W, T].
    None: a token may look at those of other documents."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A sample as people read it: the text before anything was removed, and where that was."""

    tokens: NDArray[np.int64]
    """In the order of the text, control tokens included."""
    gaps: tuple[tuple[int, int], ...]
    """The first and the last token of each removed piece, from left to right; none: all is there.
    """


class Remover(Protocol):
    """An objective, ready to remove words from windows of one context length."""

    @property
    def context_length(self) -> int:
        """Tokens of a sample as the model sees it (T)."""
        ...

    @property
    def tokens_read(self) -> int:
        """Tokens of the stream that a sample is made from (R)."""
        ...

    @property
    def stride(self) -> int:
        """Tokens of the stream from one window's beginning to the next one's."""
        ...

    @property
    def num_labels(self) -> int | None:
        """Labels of a sample (L); None: one for each token of the input."""
        ...

    def remove(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> Samples:
        """Make a sample of each window.

        Args:
            tokens_WR: the windows, as :meth:`corpora.windows.TokenWindows.read` gives them.
            seed: the job's.
            samples: the index of each sample in the job, int64 [W].
        """
        ...

    def read(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> list[Reading]:
        """What :meth:`remove` does to each window, for people."""
        ...
