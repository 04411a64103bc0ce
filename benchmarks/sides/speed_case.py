"""What every side of the training benchmark is given, and what it answers.

Imported in the peers' own virtual environments: needs torch alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import torch

from benchmarks.sides.case import Case, answer

_PEAK_SIZE = {"cpu": 1024, "cuda": 8192}
_PEAK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedCase(Case):
    """How many steps to train; a window has one token more than the context.

    ``tokenizer.json`` lies in the directory as well.
    """

    num_steps: int
    num_warmup_steps: int
    """Of these, the first that are not counted."""


def answer_steps(case: SpeedCase, ended_at: list[float], **more: object) -> None:
    """Write the seconds of each counted step, and the machine's peak of this very minute.

    Args:
        case: As it was given.
        ended_at: When training began and when each step ended.
        more: Anything else worth keeping.
    """
    seconds = [later - earlier for earlier, later in pairwise(ended_at)]
    answer(
        step_seconds=seconds[case.num_warmup_steps :],
        first_step_seconds=seconds[0],
        peak_flops=peak_flops(case.precision),
        **more,
    )


def peak_flops(precision: str) -> float:
    """Operations a second of the fastest product of two square matrices."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    size = _PEAK_SIZE[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    fastest, until = float("inf"), time.perf_counter() + _PEAK_SECONDS
    while time.perf_counter() < until:
        started = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest
