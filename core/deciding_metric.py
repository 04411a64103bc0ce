"""Which metric says how good a model is: for the best checkpoint, and for stopping early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.objectives import Architecture

_LOSS: Final = "validation/loss"
"""Decides between equals: accuracies of a small held-out split often are."""


@dataclass(frozen=True, slots=True)
class DecidingMetric:
    """A metric of held-out text, and which way is up."""

    name: str
    higher_is_better: bool

    def badness(self, metrics: Mapping[str, float | None]) -> float:
        """The lower the better; infinity where it was not measured, or is no finite number."""
        value = metrics.get(self.name)
        if value is None or not math.isfinite(value):
            return math.inf
        return -value if self.higher_is_better else value

    def order(self, metrics: Mapping[str, float | None]) -> tuple[float, float]:
        """A key that sorts the best first: by the metric, then by the loss."""
        by_loss = DecidingMetric(_LOSS, higher_is_better=False)
        return self.badness(metrics), by_loss.badness(metrics)


_BITS_PER_BYTE: Final = DecidingMetric("validation/bits_per_byte", higher_is_better=False)
_MASKED_ACCURACY: Final = DecidingMetric("validation/masked_accuracy_top1", higher_is_better=True)


def deciding_metric(architecture: Architecture) -> DecidingMetric:
    """What users of this kind of model look at.

    A decoder is asked to go on with text: bits per byte, the loss on text alone. An encoder is
    asked for the word in a gap: how often its first guess is right. Neither follows from the
    training loss of the other objectives that a job may have.
    """
    return _BITS_PER_BYTE if architecture == "decoder" else _MASKED_ACCURACY
