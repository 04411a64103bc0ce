"""Causal language modelling: the next token is removed, at every place.

Shape suffixes: W windows, R tokens read for a window, T context length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpora.removers.samples import Reading, Samples, document_numbers
from corpora.vocabulary import PAD


@dataclass(frozen=True, slots=True)
class CausalWindows:
    """How removers cut a split whose model says at every place which token follows."""

    context_length: int

    @property
    def tokens_read(self) -> int:
        """A window and the token after it."""
        return self.context_length + 1

    @property
    def stride(self) -> int:
        """Windows stand side by side."""
        return self.context_length

    @property
    def num_labels(self) -> int | None:
        """One at every place."""
        return None


@dataclass(frozen=True, slots=True)
class CausalRemover(CausalWindows):
    """Labels are the inputs shifted by one.

    Every token but the first of a split is predicted, an `<|endoftext|>` included: that is how a
    model learns to stop.
    """

    document_mask: bool = False

    def remove(
        self,
        tokens_WR: NDArray[np.int64],
        *,
        seed: int,  # noqa: ARG002 - nothing is drawn
        samples: NDArray[np.int64],  # noqa: ARG002 - likewise
    ) -> Samples:
        """Shift each window by one token."""
        input_ids_WT, labels_WT = tokens_WR[:, :-1], tokens_WR[:, 1:]
        return Samples(
            input_ids=input_ids_WT,
            labels=labels_WT,
            positions=None,
            loss_mask=labels_WT != PAD,
            documents=document_numbers(input_ids_WT) if self.document_mask else None,
        )

    def read(
        self,
        tokens_WR: NDArray[np.int64],
        *,
        seed: int,  # noqa: ARG002 - nothing is drawn
        samples: NDArray[np.int64],  # noqa: ARG002 - likewise
    ) -> list[Reading]:
        """Each window as it is: no piece is missing before the text ends."""
        return [Reading(tokens_R, gaps=()) for tokens_R in tokens_WR]
