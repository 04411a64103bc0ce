"""The peak of a device: how fast it multiplies matrices when it does nothing else.

A data sheet's number is for a clock that the device may not reach and for all of it, of which a
container may have a part. So the peak is measured where the job runs. Nothing is decided by it: it
only says how much of what is possible the training uses.
"""

from __future__ import annotations

from functools import cache
from time import perf_counter
from typing import Final

import torch

_SECONDS: Final = 0.2
_SIZES: Final = {"cpu": 1024, "cuda": 8192}
"""Of square matrices: large enough to be limited by arithmetic, small enough for many tries."""


@cache
def measured_peak(device: torch.device, dtype: torch.dtype, *, threads: int) -> float:
    """Floating-point operations a second of the fastest product of two square matrices.

    Args:
        device: What is measured, for a fifth of a second and once in a process.
        dtype: Of the matrices.
        threads: How many a CPU works with; the process is set to so many already.
    """
    del threads  # part of what the answer is remembered by
    size = _SIZES[device.type]
    generator = torch.Generator().manual_seed(0)  # the training's own must not be moved
    left, right = (
        torch.randn(size, size, generator=generator).to(device=device, dtype=dtype)
        for _ in range(2)
    )
    fastest = _seconds_of_product(left, right)  # the first one also warms up
    until = perf_counter() + _SECONDS
    while perf_counter() < until:
        fastest = min(fastest, _seconds_of_product(left, right))
    return float(2 * size**3 / fastest)


def _seconds_of_product(left: torch.Tensor, right: torch.Tensor) -> float:
    _wait_for(left.device)
    started = perf_counter()
    torch.mm(left, right)
    _wait_for(left.device)
    return perf_counter() - started


def _wait_for(device: torch.device) -> None:
    """A GPU answers before it has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
