"""Decoupled weight decay, cautious where the spec says so (arXiv 2510.12402).

A weight then decays only where the update pulls it towards zero as well, so that decay never works
against what the text teaches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Decay:
    """Decoupled weight decay: what is taken off a weight besides the update, times the rate."""

    strength: float
    is_cautious: bool = False
    """Only where weight and update have the same sign, that is where the update shrinks it."""

    def shrink(self, weights: Tensor, update: Tensor, *, rate: float) -> None:
        """Take off ``weights``, in place, what decay alone takes.

        Args:
            weights: As they are before the update.
            update: What is about to be taken off them, of any scale above zero; the same shape.
            rate: The learning rate of the step.
        """
        if self.strength == 0:
            return
        kept = 1 - rate * self.strength
        if self.is_cautious:
            weights.mul_(torch.where(weights * update >= 0, kept, 1.0))
        else:
            weights.mul_(kept)


NO_DECAY: Final = Decay(0.0)
