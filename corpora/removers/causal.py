"""Causal language modelling: the next token is removed, at every place.

Shape suffixes: W windows, R tokens read for a window, T context length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corpora.removers.framing import between_documents, framed
from corpora.removers.samples import Reading, Samples, document_numbers
from corpora.vocabulary import END_OF_TEXT, PAD


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


@dataclass(frozen=True, slots=True)
class FramedCausalRemover:
    """Causal language modelling for an encoder, whose later stages remove words anywhere.

    Its windows are those of :class:`corpora.removers.masked.MaskedRemover`, framed alike, so that
    the stages differ in what is asked and in who sees whom, and in nothing else.

    Every token but the first of a split is predicted once: the last one before the closing `[SEP]`
    answers with the text's next token, and `[CLS]` answers only where a document begins, since in
    the middle of a text there is nothing to tell its next token by.
    """

    context_length: int
    document_mask: bool = False

    @property
    def tokens_read(self) -> int:
        """A window, whose ends overlap its neighbours."""
        return self.context_length

    @property
    def stride(self) -> int:
        """What stands between `[CLS]` and `[SEP]`."""
        return self.context_length - 2

    @property
    def num_labels(self) -> int | None:
        """One at every place."""
        return None

    def remove(
        self,
        tokens_WR: NDArray[np.int64],
        *,
        seed: int,  # noqa: ARG002 - nothing is drawn
        samples: NDArray[np.int64],  # noqa: ARG002 - likewise
    ) -> Samples:
        """Frame each window, and shift its text by one token."""
        labels_WT = np.full_like(tokens_WR, PAD)
        labels_WT[:, :-1] = between_documents(tokens_WR)[:, 1:]
        loss_mask_WT = labels_WT != PAD
        loss_mask_WT[:, 0] &= tokens_WR[:, 0] == END_OF_TEXT
        return Samples(
            input_ids=framed(tokens_WR),
            labels=labels_WT,
            positions=None,
            loss_mask=loss_mask_WT,
            documents=document_numbers(tokens_WR) if self.document_mask else None,
        )

    def read(
        self,
        tokens_WR: NDArray[np.int64],
        *,
        seed: int,  # noqa: ARG002 - nothing is drawn
        samples: NDArray[np.int64],  # noqa: ARG002 - likewise
    ) -> list[Reading]:
        """Each window as it is: no piece is missing before the text ends."""
        return [Reading(tokens_R, gaps=()) for tokens_R in framed(tokens_WR)]
