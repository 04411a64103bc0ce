"""How far a long call is; told while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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
