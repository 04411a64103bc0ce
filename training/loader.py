"""The loader: the batch of any step, as a pure function of the seed and the step.

Nothing is kept between steps, so a job resumes at any step without reading what came before, and
batches are the same however they are divided among micro-batches and ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import BadData, InvalidRequest
from core.objectives import AnyObjective, AnySimple, MixObjective
from core.spec import Budget
from corpora.mixture import MixedWindows, SampleSource, mixed
from corpora.objectives import is_read_forwards, removers_for, stage_ends, stages_of
from corpora.removers.samples import Remover
from corpora.vocabulary import Vocabulary
from corpora.windows import TokenStream, TokenWindows


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the model sees in one step and what it must say, or a rank's part of it.

    B sequences of T tokens.
    """

    input_ids: NDArray[np.int64]
    """``(B, T)``."""
    labels: NDArray[np.int64]
    """The next tokens, ``(B, T)``, or the removed ones, ``(B, K)``: K is the same in every step of
    a stage."""
    positions: NDArray[np.int64] | None
    """Where the removed tokens stood, ``(B, K)``; None if every place is predicted."""
    loss_mask: NDArray[np.bool_]
    """Which labels count, in the shape of ``labels``; padding does not."""
    documents: NDArray[np.int32] | None
    """The number, within its window, of the document that each token is of, ``(B, T)``; None if
    tokens may look at other documents."""
    causal: bool
    """Whether tokens may see none that come after them, which an encoder's usually may."""
    num_tokens: int
    """Of the whole step, whatever they are: what a budget counts."""

    @property
    def num_labels(self) -> int:
        """How many labels count."""
        return int(self.loss_mask.sum())


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus that samples are taken from."""

    corpus: str
    """Its id."""
    share: float
    """Of the samples; those of all sources are together 1."""
    split: TokenStream


@dataclass(frozen=True, slots=True)
class _Stage:
    """The steps for which words are removed in one way."""

    end: int | None
    """The first step after it; None: it is the last stage."""
    objective: AnySimple | MixObjective
    windows: SampleSource


class Loader:
    """Batches of a split in pseudo-random order, each window once an epoch.

    Epochs follow each other without a gap: a batch may hold the end of one and the beginning of
    the next, and so nothing is ever left out. Of several corpora, each has epochs of its own, as
    its share makes them. Each stage of a staged objective cuts the splits into windows of its own.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        objective: AnyObjective,
        vocabulary: Vocabulary,
        context_length: int,
        sequences_per_step: int,
        seed: int,
        budget: Budget,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        """Cut the splits of ``sources`` into windows.

        Only the part of ``rank`` is made of any step: of ``num_ranks`` equal ones, which make up
        the same step however many they are.

        Raises:
            BadData: one of the sources has no tokens.
            InvalidRequest: a step has no equal parts.
        """
        if sequences_per_step % num_ranks:
            raise InvalidRequest(
                f"A step has {sequences_per_step} sequences, and {num_ranks} devices cannot share "
                "them evenly; batch_tokens must be a multiple of both together.",
                param="batch_tokens",
            )
        self._sources = tuple(sources)
        self._sequences_per_step = sequences_per_step
        self._rank = rank
        self._num_ranks = num_ranks
        self._context_length = context_length
        self._seed = seed
        removers = removers_for(objective, vocabulary=vocabulary, context_length=context_length)
        windows = [self._mixed(remover) for remover in removers]
        self.num_windows = windows[0].count
        self.num_steps = budget.num_steps(
            batch_tokens=sequences_per_step * context_length,
            tokens_per_epoch=self.tokens_per_epoch,
        )
        ends = stage_ends(objective, num_steps=self.num_steps)
        self._stages = [
            _Stage(end, stage.objective, cut)
            for stage, end, cut in zip(stages_of(objective), ends, windows, strict=True)
        ]

    @property
    def tokens_per_epoch(self) -> int:
        """Tokens, as a budget counts them, of all windows of the first stage."""
        return self.num_windows * self._context_length

    def epochs(self, step: int) -> dict[str, float]:
        """How often each corpus of a mixture has been read before a step, by name of the metric."""
        windows = self._at(step).windows
        if not isinstance(windows, MixedWindows):
            return {}
        numbers = windows.epochs(step * self._sequences_per_step)
        return {
            f"data/epochs/{source.corpus}": number
            for source, number in zip(self._sources, numbers, strict=True)
        }

    def batch(self, step: int) -> Batch:
        """This rank's part of the batch of one step; the first is step 0."""
        stage = self._at(step)
        size = self._sequences_per_step // self._num_ranks
        first = step * self._sequences_per_step + self._rank * size
        samples = np.arange(first, first + size, dtype=np.int64)
        made = stage.windows.samples(samples, seed=self._seed)
        return Batch(
            input_ids=made.input_ids,
            labels=made.labels,
            positions=made.positions,
            loss_mask=made.loss_mask,
            documents=made.documents,
            causal=self.is_causal(step),
            num_tokens=made.input_ids.size * self._num_ranks,
        )

    def first_steps(self, step: int) -> list[int]:
        """``step``, and the first step of every stage to come: one for each shape of a batch."""
        ends = (stage.end for stage in self._stages)
        return [step, *(end for end in ends if end is not None and end > step)]

    def begins_stage(self, step: int) -> bool:
        """Whether from this step on words are removed in another way than before."""
        return any(stage.end == step for stage in self._stages)

    def is_causal(self, step: int) -> bool:
        """Whether tokens may see none that come after them; see :attr:`Batch.causal`."""
        return is_read_forwards(self.objective(step))

    def objective(self, step: int) -> AnySimple | MixObjective:
        """How words are removed at this step."""
        return self._at(step).objective

    def is_in_last_stage(self, step: int) -> bool:
        """Whether words are removed at this step as they will be to the end."""
        return self._at(step).end is None

    def _at(self, step: int) -> _Stage:
        return next(stage for stage in self._stages if stage.end is None or step < stage.end)

    def _mixed(self, remover: Remover) -> SampleSource:
        cut = [TokenWindows(source.split, remover) for source in self._sources]
        for source, windows in zip(self._sources, cut, strict=True):
            if not windows.count:
                raise BadData(
                    f"corpus {source.corpus} has no text to train on",
                    code="corpus_empty",
                    param="corpus",
                )
        return mixed(cut, shares=[source.share for source in self._sources])
