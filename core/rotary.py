"""Rotary embeddings' base: how long the wavelengths are that tell tokens their distances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.objectives import Architecture

ROPE_THETA: Final[Mapping[Architecture, float]] = {"decoder": 10_000.0, "encoder": 160_000.0}
"""The base of new models; an encoder's is that of its global layers.

A decoder's is enough for contexts of a few thousand tokens (arXiv 2104.09864), an encoder's for
more than eight thousand (arXiv 2412.13663).
"""
LOCAL_ROPE_THETA: Final = 10_000.0
"""The base of an encoder's local layers, whose window never grows (arXiv 2412.13663)."""


def raised_theta(theta: float, *, head_dim: int, before: int, after: int) -> float:
    """The base for a longer context: ``theta * (after / before) ** (head_dim / (head_dim - 2))``.

    The longest wavelength then grows as the context does, so that its angles stay within what
    the model has seen, and the shortest, which tell neighbours apart, hardly change: the
    "NTK-aware" interpolation of arXiv 2309.00071, section 3.1. Four digits are kept.

    Args:
        theta: The base so far.
        head_dim: The width of an attention head.
        before: The context length so far.
        after: The new one.
    """
    if after <= before or head_dim <= 2:  # noqa: PLR2004 - one wavelength alone does not depend on it
        return theta
    return float(f"{theta * (after / before) ** (head_dim / (head_dim - 2)):.4g}")
