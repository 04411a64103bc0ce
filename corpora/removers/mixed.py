"""A mix of objectives: each sample is drawn for one of them.

Shape suffixes: W windows, R tokens read for a window, T context length, L labels of a sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from corpora.counter_random import Use, derive_key, random_shares
from corpora.removers.samples import NOWHERE, Reading, Remover, Samples
from corpora.vocabulary import PAD


@dataclass(frozen=True)
class MixedRemover:
    """Removers that share the windows of a job, each taking its share of the samples.

    All cut the split alike, into the windows of the part that reads furthest; a part that reads
    less leaves the end of its window to other epochs. All answers have one shape, so that a batch
    may hold samples of every part.
    """

    parts: tuple[Remover, ...]
    shares: tuple[float, ...]
    """Of each part; together 1."""
    document_mask: bool = False
    """Whether some part keeps documents apart."""

    @property
    def context_length(self) -> int:
        """The parts' own."""
        return self.parts[0].context_length

    @property
    def tokens_read(self) -> int:
        """What the part that reads most needs."""
        return max(part.tokens_read for part in self.parts)

    @property
    def stride(self) -> int:
        """Of the part that gets on fastest."""
        return max(part.stride for part in self.parts)

    @property
    def num_labels(self) -> int | None:
        """Enough for each part."""
        numbers = [part.num_labels for part in self.parts]
        return None if None in numbers else max(number for number in numbers if number is not None)

    def remove(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> Samples:
        """Let each window's part make its sample."""
        num_windows, length = len(tokens_WR), self.context_length
        num_labels = self.num_labels
        mixed = Samples(
            input_ids=np.empty((num_windows, length), dtype=np.int64),
            labels=np.full((num_windows, num_labels or length), PAD, dtype=np.int64),
            positions=None
            if num_labels is None
            else np.full((num_windows, num_labels), NOWHERE, dtype=np.int64),
            loss_mask=np.zeros((num_windows, num_labels or length), dtype=np.bool_),
        )
        # whose part does not ask for it looks at its whole window, as one document
        documents_WT = np.zeros((num_windows, length), dtype=np.int32)
        for part, rows in self._by_part(seed=seed, samples=samples):
            made = part.remove(
                tokens_WR[rows, : part.tokens_read], seed=seed, samples=samples[rows]
            )
            _place(made, rows, mixed)
            if made.documents is not None:
                documents_WT[rows] = made.documents
        return replace(mixed, documents=documents_WT) if self.document_mask else mixed

    def read(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> list[Reading]:
        """What each window's part does to it."""
        readings: dict[int, Reading] = {}
        for part, rows in self._by_part(seed=seed, samples=samples):
            made = part.read(tokens_WR[rows, : part.tokens_read], seed=seed, samples=samples[rows])
            readings.update(zip(rows.tolist(), made, strict=True))
        return [readings[row] for row in range(len(tokens_WR))]

    def _by_part(
        self, *, seed: int, samples: NDArray[np.int64]
    ) -> Iterator[tuple[Remover, NDArray[np.int64]]]:
        """Each part that has a sample among these, and the rows of its samples."""
        drawn_W = random_shares(derive_key(seed, Use.PART), samples.astype(np.uint64))
        part_of_W = np.searchsorted(np.cumsum(self.shares)[:-1], drawn_W, side="right")
        for number, part in enumerate(self.parts):
            rows = np.flatnonzero(part_of_W == number)
            if len(rows):
                yield part, rows


def _place(made: Samples, rows: NDArray[np.int64], mixed: Samples) -> None:
    """Write the samples of one part into those of all, in the shape that all have."""
    mixed.input_ids[rows] = made.input_ids
    if made.positions is None:
        mixed.labels[rows] = made.labels
        mixed.loss_mask[rows] = made.loss_mask
    elif mixed.positions is None:
        within, columns = np.nonzero(made.loss_mask)
        places = rows[within], made.positions[within, columns]
        mixed.labels[places] = made.labels[within, columns]
        mixed.loss_mask[places] = True
    else:
        width = made.labels.shape[1]
        mixed.labels[rows, :width] = made.labels
        mixed.positions[rows, :width] = made.positions
        mixed.loss_mask[rows, :width] = made.loss_mask
