"""The parts of a step's batch that go through the model together.

Shapes: B sequences of a micro-batch, T tokens of a sequence, K removed tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.loader import Batch


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """A part of a step's batch, on the device."""

    input_ids: Tensor
    """``(B, T)``."""
    labels: Tensor
    """``(B, T)``, or ``(B, K)`` where ``positions`` are given."""
    weights: Tensor
    """Shaped as ``labels``; all weights of a step, on all ranks, add up to 1."""
    positions: Tensor | None
    """``(B, K)``."""
    documents: Tensor | None = None
    """``(B, T)``; None where tokens may look at other documents."""
    causal: bool = False
    """Whether tokens see none that come after them; a decoder's never do."""


def micro_batches(
    batch: Batch, *, size: int, num_labels: int, device: torch.device
) -> Iterator[MicroBatch]:
    """Cut a step's batch into parts of ``size`` sequences.

    Args:
        batch: Of the step, or the part of it that this rank computes.
        size: Sequences of a part.
        num_labels: How many labels count in the whole step.
        device: Where the parts go.
    """
    weights = batch.loss_mask.astype(np.float32) / max(1, num_labels)
    for start in range(0, len(batch.input_ids), size):
        part = slice(start, start + size)
        yield MicroBatch(
            input_ids=torch.from_numpy(batch.input_ids[part]).to(device),
            labels=torch.from_numpy(batch.labels[part]).to(device),
            weights=torch.from_numpy(weights[part]).to(device),
            positions=None
            if batch.positions is None
            else torch.from_numpy(batch.positions[part]).to(device),
            documents=None
            if batch.documents is None
            else torch.from_numpy(batch.documents[part]).to(device),
            causal=batch.causal,
        )
