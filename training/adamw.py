"""AdamW: torch's fused kernel, with its state under the parameters' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from training.weight_decay import Decay

_EPS: Final = 1e-10
"""Far below the gradients of rare tokens' rows, which 1e-8 would slow down."""


@dataclass(frozen=True, slots=True)
class AdamWGroup:
    """Parameters that share a peak rate and a decay."""

    named_parameters: list[tuple[str, nn.Parameter]]
    peak_rate: float
    decay: Decay


class AdamW:
    """torch's fused AdamW, with its state under the parameters' names.

    Its function, not its class: to make a ``torch.optim.Optimizer`` imports torch's compiler, and
    every job would wait more than a second longer for its first step.
    """

    def __init__(self, groups: list[AdamWGroup], *, betas: tuple[float, float]) -> None:
        """The parameters are moved in place."""
        self._groups = [group for group in groups if group.named_parameters]
        self._betas = betas
        self._moments = {
            name: _Moments.of(parameter)
            for group in self._groups
            for name, parameter in group.named_parameters
        }

    @torch.no_grad()
    def step(self, rate_factor: float) -> None:
        """One update, at this share of each group's peak learning rate."""
        beta1, beta2 = self._betas
        for group in self._groups:
            moved = [(name, p, p.grad) for name, p in group.named_parameters if p.grad is not None]
            moments = [self._moments[name] for name, _, _ in moved]
            rate = group.peak_rate * rate_factor
            if group.decay.is_cautious:
                # torch's kernel moves mean and weights in one go; the mean has the update's sign
                for (_, parameter, gradient), moment in zip(moved, moments, strict=True):
                    mean = moment.exp_avg.lerp(gradient, 1 - beta1)
                    group.decay.shrink(parameter, mean, rate=rate)
            adamw(
                [parameter for _, parameter, _ in moved],
                [gradient for _, _, gradient in moved],
                [moment.exp_avg for moment in moments],
                [moment.exp_avg_sq for moment in moments],
                [],
                [moment.step for moment in moments],
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=rate,
                weight_decay=0.0 if group.decay.is_cautious else group.decay.strength,
                eps=_EPS,
                maximize=False,
            )

    def rehearse(self, *, compile_it: bool) -> None:
        """Nothing to settle: torch's fused kernel is the fastest there is."""

    def state(self) -> dict[str, Tensor]:
        """Both moments and the number of updates of every parameter."""
        return {
            f"adamw.{part}.{name}": getattr(moments, part)
            for name, moments in self._moments.items()
            for part in _MOMENT_PARTS
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        for name, moments in self._moments.items():
            for part in _MOMENT_PARTS:
                getattr(moments, part).copy_(state[f"adamw.{part}.{name}"])


@dataclass(frozen=True, slots=True)
class _Moments:
    """What AdamW remembers of a parameter, under torch's names."""

    step: Tensor
    """The number of updates, on the parameter's device as the fused kernel wants it."""
    exp_avg: Tensor
    exp_avg_sq: Tensor

    @classmethod
    def of(cls, parameter: nn.Parameter) -> Self:
        """Those of a parameter that has not been moved yet."""
        return cls(
            step=torch.zeros((), device=parameter.device),
            exp_avg=torch.zeros_like(parameter, requires_grad=False),
            exp_avg_sq=torch.zeros_like(parameter, requires_grad=False),
        )


_MOMENT_PARTS: Final = tuple(part.name for part in fields(_Moments))
