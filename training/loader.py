"""The loader: the batch of any step, as a pure function of the seed and the step.

Nothing is kept between steps, so a job resumes at any step without reading what came before, and
batches are the same however they are divided among micro-batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import BadData
from core.spec import Objective
from corpora.objectives import remover_for
from corpora.vocabulary import Vocabulary
from corpora.windows import TokenStream, TokenWindows


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the model sees in one step and what it must say; B sequences of T tokens."""

    input_ids: NDArray[np.int64]
    """``(B, T)``."""
    labels: NDArray[np.int64]
    """The next tokens, ``(B, T)``, or the removed ones, ``(B, K)``: K is the same in every step."""
    positions: NDArray[np.int64] | None
    """Where the removed tokens stood, ``(B, K)``; None if every place is predicted."""
    loss_mask: NDArray[np.bool_]
    """Which labels count, in the shape of ``labels``; padding does not."""
    num_tokens: int
    """B times T, whatever they are: what a budget counts."""


class Loader:
    """Batches of a split in pseudo-random order, each window once an epoch.

    Epochs follow each other without a gap: a batch may hold the end of one and the beginning of
    the next, and so nothing is ever left out.
    """

    def __init__(
        self,
        split: TokenStream,
        *,
        objective: Objective,
        vocabulary: Vocabulary,
        context_length: int,
        sequences_per_step: int,
        seed: int,
    ) -> None:
        """Cut ``split`` into windows.

        Raises:
            BadData: it has no tokens.
        """
        self._remover = remover_for(objective, vocabulary=vocabulary, context_length=context_length)
        self._windows = TokenWindows(split, self._remover)
        self._sequences_per_step = sequences_per_step
        self._seed = seed
        if not self._windows.count:
            raise BadData("the corpus has no text to train on", code="corpus_empty", param="corpus")

    @property
    def num_windows(self) -> int:
        """Windows of an epoch."""
        return self._windows.count

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens, as a budget counts them, until every window was seen once."""
        return self._windows.count * self._remover.context_length

    def batch(self, step: int) -> Batch:
        """The batch of one step; the first is step 0."""
        first = step * self._sequences_per_step
        samples = np.arange(first, first + self._sequences_per_step, dtype=np.int64)
        made = self._windows.samples(samples, seed=self._seed)
        return Batch(
            input_ids=made.input_ids,
            labels=made.labels,
            positions=made.positions,
            loss_mask=made.loss_mask,
            num_tokens=made.input_ids.size,
        )
