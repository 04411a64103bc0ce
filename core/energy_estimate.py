"""About how much energy a job has taken, by its arithmetic alone.

Measured energy is a metric of a job (``system/energy_joules``) where the device tells it. A model
card needs a number that is the same for equal jobs: this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

_OPERATIONS_PER_JOULE: Final[Mapping[tuple[str, str], float]] = {
    ("cuda", "bf16"): 4e11,
    ("cuda", "fp32"): 4e10,
    ("cpu", "bf16"): 2e10,
    ("cpu", "fp32"): 1e10,
}
"""What training gets out of a joule: a data-centre GPU of 400 to 700 W at 40 % of its peak, and a
server processor of 350 W whose cores are all at work."""
_JOULES_PER_KILOWATT_HOUR: Final = 3.6e6


def estimated_kilowatt_hours(
    flops: float, *, device: Literal["cpu", "cuda"], precision: Literal["fp32", "bf16"]
) -> float:
    """Of the device alone, within a factor of three or so: no cooling, no idle cores, no disks.

    Args:
        flops: Floating-point operations of the model's own arithmetic.
        device: What computes.
        precision: Of the matrix products.
    """
    return flops / _OPERATIONS_PER_JOULE[device, precision] / _JOULES_PER_KILOWATT_HOUR
