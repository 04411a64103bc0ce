"""What both sides of the quality benchmark are given."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.sides.case import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityCase(Case):
    """How long to train, and how."""

    out: str
    """Where the weights go, as ``model.safetensors``."""
    seconds: float
    """To train for; the schedule is fitted to them."""
    learning_rate: float
    seed: int
