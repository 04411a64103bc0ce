"""The loader: the batch of any step, as a pure function of the seed and the step.

Nothing is kept between steps, so a job resumes at any step without reading what came before, and
batches are the same however they are divided among micro-batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import BadData
from core.objectives import AnyObjective
from core.spec import Budget
from corpora.objectives import remover_for, stages_of
from corpora.vocabulary import Vocabulary
from corpora.windows import TokenStream, TokenWindows


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the model sees in one step and what it must say; B sequences of T tokens."""

    input_ids: NDArray[np.int64]
    """``(B, T)``."""
    labels: NDArray[np.int64]
    """The next tokens, ``(B, T)``, or the removed ones, ``(B, K)``: K is the same in every step of
    a stage."""
    positions: NDArray[np.int64] | None
    """Where the removed tokens stood, ``(B, K)``; None if every place is predicted."""
    loss_mask: NDArray[np.bool_]
    """Which labels count, in the shape of ``labels``; padding does not."""
    num_tokens: int
    """B times T, whatever they are: what a budget counts."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """The steps for which words are removed in one way."""

    end: int | None
    """The first step after it; None: it is the last stage."""
    windows: TokenWindows


class Loader:
    """Batches of a split in pseudo-random order, each window once an epoch.

    Epochs follow each other without a gap: a batch may hold the end of one and the beginning of
    the next, and so nothing is ever left out. Each stage of a staged objective cuts the split into
    windows of its own.
    """

    def __init__(
        self,
        split: TokenStream,
        *,
        objective: AnyObjective,
        vocabulary: Vocabulary,
        context_length: int,
        sequences_per_step: int,
        seed: int,
        budget: Budget,
    ) -> None:
        """Cut ``split`` into windows.

        Raises:
            BadData: it has no tokens.
        """
        self._sequences_per_step = sequences_per_step
        self._context_length = context_length
        self._seed = seed
        stages = stages_of(objective)
        windows = [
            TokenWindows(
                split,
                remover_for(stage.objective, vocabulary=vocabulary, context_length=context_length),
            )
            for stage in stages
        ]
        if not windows[0].count:
            raise BadData("the corpus has no text to train on", code="corpus_empty", param="corpus")
        self.num_windows = windows[0].count
        self.num_steps = budget.num_steps(
            batch_tokens=sequences_per_step * context_length,
            tokens_per_epoch=self.tokens_per_epoch,
        )
        # without a number of steps there is one stage: the spec has been checked
        ends = [round(stage.until * (self.num_steps or 0)) for stage in stages[:-1]]
        self._stages = [_Stage(end, cut) for end, cut in zip([*ends, None], windows, strict=True)]

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens, as a budget counts them, until every window of the first stage was seen once."""
        return self.num_windows * self._context_length

    def batch(self, step: int) -> Batch:
        """The batch of one step; the first is step 0."""
        windows = next(
            stage.windows for stage in self._stages if stage.end is None or step < stage.end
        )
        first = step * self._sequences_per_step
        samples = np.arange(first, first + self._sequences_per_step, dtype=np.int64)
        made = windows.samples(samples, seed=self._seed)
        return Batch(
            input_ids=made.input_ids,
            labels=made.labels,
            positions=made.positions,
            loss_mask=made.loss_mask,
            num_tokens=made.input_ids.size,
        )
