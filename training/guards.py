"""The guard: which steps may change the weights, and when training has gone wrong for good.

Two things happen to a loss. A single step has one, or a gradient, far out of the ordinary: it is
skipped, by the rule of OLMo (https://github.com/allenai/OLMo-core, ``SkipStepOptimizer``: more than
6 standard deviations above the mean of the last 128). Or the loss leaves and does not return: then
the weights go back to an earlier checkpoint, and the learning rate is lowered.

Pure arithmetic on numbers that checkpoints keep, so that a job that was interrupted judges as one
that was not.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from core.errors import Diverged

MAX_ROLLBACKS: Final = 2
_REMEMBERED: Final = 128
_FEWEST_TO_JUDGE_BY: Final = 64
_SIGMAS: Final = 6.0
_LEAST_SPREAD: Final = 1e-6
"""Of the mean: numbers that are all the same make the next one no less ordinary for its rounding.
"""
_HELD_OUT_LOSS: Final = "validation/loss"
_MOST_NUMBERLESS: Final = 8
"""Steps in a row without a finite loss and gradient after which waiting no longer helps."""
_RECENT: Final = 64
_FAR: Final = 1.5
_FAR_AT_LEAST: Final = 0.5
"""In nats: close to zero, half as much again is nothing."""
_RATE_AFTER_ROLLBACK: Final = 0.5


@dataclass(frozen=True, slots=True)
class Guard:
    """What is remembered of a job's losses and gradients, to judge the next ones by."""

    losses: Sequence[float] = ()
    """Of the last steps with finite numbers, skipped ones among them."""
    judged_losses: Sequence[float] = ()
    """The same, each no higher than the most that was ordinary when it came. So one spike does not
    hide the next, and yet what keeps coming is ordinary after a while, and skipped no longer."""
    gradient_norms: Sequence[float] = ()
    """Of the same steps, held down likewise."""
    best_loss: float | None = None
    """The first loss, or the lowest median of recent ones."""
    numberless_in_a_row: int = 0
    """How many losses were not finite since the last one that was."""
    num_skipped: int = 0
    num_rollbacks: int = 0
    rate_factor: float = 1.0
    """What is left of the learning rate after them."""

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> Guard:
        """Read back what ``dataclasses.asdict`` gave."""
        return cls(
            **{
                **recorded,
                "losses": tuple(recorded["losses"]),
                "judged_losses": tuple(recorded.get("judged_losses", recorded["losses"])),
                "gradient_norms": tuple(recorded["gradient_norms"]),
            }
        )

    def is_ordinary(self, *, loss: float, gradient_norm: float) -> bool:
        """Whether a step with these numbers may change the weights."""
        return (
            math.isfinite(loss)
            and math.isfinite(gradient_norm)
            and loss <= _most_ordinary(self.judged_losses)
            and gradient_norm <= _most_ordinary(self.gradient_norms)
        )

    def after(self, *, loss: float, gradient_norm: float, skipped: bool) -> Guard:
        """What is remembered after a step with these numbers."""
        num_skipped = self.num_skipped + skipped
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            return replace(
                self, num_skipped=num_skipped, numberless_in_a_row=self.numberless_in_a_row + 1
            )
        losses = (*self.losses, loss)[-_REMEMBERED:]
        best = loss if self.best_loss is None else self.best_loss
        return replace(
            self,
            losses=losses,
            judged_losses=_remember(self.judged_losses, loss),
            gradient_norms=_remember(self.gradient_norms, gradient_norm),
            best_loss=min(best, _level(losses)) if len(losses) >= _RECENT else best,
            numberless_in_a_row=0,
            num_skipped=num_skipped,
        )

    def after_looking(self, measured: Mapping[str, float]) -> Guard:
        """What is remembered after held-out text was looked at, if there is any."""
        if math.isfinite(measured.get(_HELD_OUT_LOSS, 0.0)):
            return self
        return replace(self, numberless_in_a_row=self.numberless_in_a_row + 1)

    def require_a_result(self, measured: Mapping[str, float]) -> None:
        """Nobody gets a model as a result whose last loss is not even a number.

        Held-out text decides, where there is any: what was no number may have been the last batch.

        Raises:
            Diverged: it is none.
        """
        of_training = math.nan if self.numberless_in_a_row else 0.0
        if not math.isfinite(measured.get(_HELD_OUT_LOSS, of_training)):
            raise Diverged(
                "The job ends with a loss that is not finite. A lower optimizer.learning_rate or "
                "a longer schedule.warmup helps."
            )

    @property
    def has_lost_its_way(self) -> bool:
        """Whether an earlier checkpoint's weights are better, and these will not mend."""
        return self.numberless_in_a_row >= _MOST_NUMBERLESS or (
            len(self.losses) >= _RECENT and self._is_far_up(_level(self.losses))
        )

    @property
    def is_worried(self) -> bool:
        """Whether the weights may be lost already, so that they are nothing to go back to."""
        return self.numberless_in_a_row > 0 or (
            bool(self.losses) and self._is_far_up(self.losses[-1])
        )

    def rolled_back(self, *, best_loss: float | None) -> Guard:
        """What is remembered once the weights have gone back.

        Args:
            best_loss: What was the best when they were what they are again: measured by a later
                one they would be lost at once. None: nothing was known.

        Raises:
            Diverged: they have gone back often enough.
        """
        if self.num_rollbacks == MAX_ROLLBACKS:
            raise Diverged(
                f"The loss has left for good again, although the weights went back {MAX_ROLLBACKS} "
                "times and the learning rate was halved each time. A lower "
                "optimizer.learning_rate or a longer schedule.warmup helps."
            )
        return replace(
            self,
            losses=(),
            judged_losses=(),
            gradient_norms=(),
            best_loss=best_loss,
            numberless_in_a_row=0,
            num_rollbacks=self.num_rollbacks + 1,
            rate_factor=self.rate_factor * _RATE_AFTER_ROLLBACK,
        )

    def at_another_objective(self) -> Guard:
        """What is remembered when a stage begins, whose losses have another size."""
        return replace(self, losses=(), judged_losses=(), gradient_norms=(), best_loss=None)

    def _is_far_up(self, loss: float) -> bool:
        best = self.best_loss
        return best is not None and loss > max(_FAR * best, best + _FAR_AT_LEAST)


def _most_ordinary(earlier: Sequence[float]) -> float:
    """The highest value that does not stick out of those before it."""
    if len(earlier) < _FEWEST_TO_JUDGE_BY:
        return math.inf
    mean = float(np.mean(earlier))
    return mean + _SIGMAS * max(float(np.std(earlier)), _LEAST_SPREAD * abs(mean))


def _remember(earlier: Sequence[float], value: float) -> Sequence[float]:
    return (*earlier, min(value, _most_ordinary(earlier)))[-_REMEMBERED:]


def _level(losses: Sequence[float]) -> float:
    """Where the loss stands now; a few high ones do not move it."""
    return statistics.median(losses[-_RECENT:])
