"""How far a long call is; told while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a call: ``fraction`` goes from 0 to 1 over all of its stages."""

    stage: str
    fraction: float
    files: int = 0
    records: int = 0
    bytes: int = 0


ProgressCallback = Callable[[Progress], None]
"""Called about once a megabyte; it must be quick."""


ShareCallback = Callable[[float], None]
"""Told now and then what share of one stage is done."""


def part_of(progress: ProgressCallback, start: float, end: float) -> ProgressCallback:
    """What a call tells that takes from ``start`` to ``end`` of a longer one."""
    return lambda told: progress(replace(told, fraction=start + (end - start) * told.fraction))
