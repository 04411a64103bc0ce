"""Early stopping: a job ends when its held-out text has not become easier for long enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.deciding_metric import deciding_metric
from core.spec import EarlyStoppingSpec, ModelShape


@dataclass(frozen=True, slots=True)
class Patience:
    """How a job's evaluations went, as far as stopping early is concerned."""

    best: float | None = None
    """The lowest badness so far of the metric that decides; see :mod:`core.deciding_metric`."""
    num_fruitless: int = 0
    """Evaluations since then."""

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Patience:
        """Read back what ``dataclasses.asdict`` gave."""
        return cls(**recorded)

    def after(
        self, measured: Mapping[str, float], *, shape: ModelShape, spec: EarlyStoppingSpec
    ) -> Patience:
        """What is remembered after an evaluation; one without held-out text says nothing."""
        metric = deciding_metric(shape.architecture)
        if metric.name not in measured:
            return self
        badness = metric.badness(measured)
        if math.isfinite(badness) and (self.best is None or badness < self.best - spec.min_delta):
            return Patience(best=badness)
        return Patience(best=self.best, num_fruitless=self.num_fruitless + 1)

    def is_exhausted(self, spec: EarlyStoppingSpec | None) -> bool:
        """Whether the job should end."""
        return spec is not None and self.num_fruitless >= spec.patience
