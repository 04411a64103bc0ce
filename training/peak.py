"""The peak of a device: how fast it multiplies matrices when it does nothing else.

A data sheet's number is for a clock that the device may not reach and for all of it, of which a
container may have a part. So the peak is measured where the job runs. Nothing is decided by it: it
only says how much of what is possible the training uses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from time import perf_counter
from typing import Final

import torch

_SECONDS: Final = {"cpu": 0.05, "cuda": 0.2}
"""Of a look; a GPU first raises its clock."""
_SIZES: Final = {"cpu": 1024, "cuda": 8192}
"""Of square matrices: large enough to be limited by arithmetic, small enough for many tries."""


class Peak:
    """The most that a device was ever seen to do, in floating-point operations a second.

    A short look finds too little where others use the device as well, so the peak is looked for
    again and again, and rises with what training itself reaches. It never falls.
    """

    def __init__(self, look: Callable[[], float]) -> None:
        """Look for the first time.

        Args:
            look: Operations a second that the device does in this moment.
        """
        self._look = look
        self._flops = look()

    def look_again(self) -> None:
        """Remember what is found if it is more."""
        self._flops = max(self._flops, self._look())

    def share(self, flops: float) -> float:
        """What part of the peak so many operations a second are; what exceeds it becomes it."""
        self._flops = max(self._flops, flops)
        return flops / self._flops


@cache
def peak_of(device: torch.device, dtype: torch.dtype, *, threads: int) -> Peak:
    """The peak of a device of this process; the same one for all of its jobs.

    Args:
        device: What is looked at.
        dtype: Of the matrices.
        threads: How many a CPU works with; the process is set to so many already.
    """
    del threads  # part of what the answer is remembered by
    return Peak(partial(flops_of_products, device, dtype))


def flops_of_products(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of the fastest of some products of square matrices."""
    size = _SIZES[device.type]
    generator = torch.Generator(device).manual_seed(0)  # the training's own must not be moved
    left, right = (
        torch.randn(size, size, generator=generator, device=device).to(dtype) for _ in range(2)
    )
    fastest = _seconds_of_product(left, right)  # the first one also warms up
    until = perf_counter() + _SECONDS[device.type]
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
