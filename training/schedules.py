"""How the learning rate moves over the budget, as pure functions of the progress."""

from __future__ import annotations

import math

from core.spec import ScheduleSpec


def learning_rate_factor(schedule: ScheduleSpec, *, progress: float) -> float:
    """The share of the peak rate at a point of the budget.

    A linear warm-up from zero, then ``wsd``: the peak until the decay begins, then linearly to
    zero (arXiv 2405.18392); ``cosine``: half a wave down to zero; ``linear``: a straight line down
    to zero.

    Args:
        schedule: Which curve; its warm-up and decay are shares of the budget.
        progress: Between 0 (nothing spent) and 1 (all spent); what lies outside is clipped.

    Returns:
        Between 0 and 1.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < schedule.warmup:
        return progress / schedule.warmup
    if schedule.name == "wsd":
        decay = min(schedule.decay, 1.0 - schedule.warmup)
        return min(1.0, (1.0 - progress) / decay) if decay else 1.0
    after_warmup = (progress - schedule.warmup) / (1.0 - schedule.warmup)
    if schedule.name == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * after_warmup))
    return 1.0 - after_warmup


def budget_progress(
    *,
    step: float,
    num_steps: int | None,
    elapsed_seconds: float,
    seconds: float | None,
    began_seconds: float = 0.0,
) -> float:
    """How much of a budget of steps, seconds or both is spent: the further of the two.

    Each of them grows to 1 and ends the job there, so that whichever it is, and whatever the other
    would have needed, a schedule along their maximum is complete at the end.

    Args:
        step: Optimizer steps taken; the middle of a step is ``step + 0.5``.
        num_steps: The budget in steps, or None if only time counts.
        elapsed_seconds: Time spent, over all attempts.
        seconds: The budget in seconds, or None if only steps count.
        began_seconds: What of the time had passed when the first step began. It is no part of the
            schedule: a long look at held-out text before would swallow the warm-up.
    """
    by_steps = step / num_steps if num_steps else 0.0
    return max(by_steps, _by_time(elapsed_seconds, seconds, began_seconds) if seconds else 0.0)


def _by_time(elapsed: float, seconds: float, began: float) -> float:
    return (elapsed - began) / (seconds - began) if seconds > began else 1.0
