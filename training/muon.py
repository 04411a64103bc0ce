"""Muon (https://kellerjordan.github.io/posts/muon, arXiv 2502.16982).

It moves a matrix by its momentum with all singular values brought near one. Matrices of equal shape
are stacked and go through the Newton-Schulz iteration together, which is several times faster for
small models than one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from training.compiling import compiled
from training.weight_decay import Decay

_NEWTON_SCHULZ: Final = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS: Final = 5
_MOMENTUM: Final = 0.95


class Muon:
    """Muon with the update scaled to the size of AdamW's, ``0.2 * sqrt(max(rows, columns))``."""

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        *,
        peak_rate: float,
        decay: Decay,
        fused: Mapping[str, int],
        precision: torch.dtype,
    ) -> None:
        """Sort the matrices into stacks of equal shape.

        Args:
            named_parameters: Matrices, moved in place.
            peak_rate: The learning rate at factor 1.
            decay: Of every matrix.
            fused: How many matrices lie on top of each other in a parameter, by its name's end;
                each is orthogonalised on its own.
            precision: What Newton-Schulz computes in.
        """
        self._peak_rate = peak_rate
        self._decay = decay
        by_shape: dict[tuple[int, int], list[_Member]] = defaultdict(list)
        for name, parameter in named_parameters:
            parts = next((n for end, n in fused.items() if name.endswith(end)), 1)
            rows, columns = parameter.shape
            by_shape[rows // parts, columns].append(_Member(name, parameter, parts))
        self._stacks = [
            _Stack(members, shape=shape, precision=precision) for shape, members in by_shape.items()
        ]

    @torch.no_grad()
    def step(self, rate_factor: float) -> None:
        """One update, at this share of the peak learning rate."""
        rate = self._peak_rate * rate_factor
        for stack in self._stacks:
            stack.step(rate, decay=self._decay)

    @torch.no_grad()
    def rehearse(self, *, compile_it: bool) -> None:
        """Settle for the kernels of every stack."""
        for stack in self._stacks:
            stack.rehearse(compile_it=compile_it)

    def state(self) -> dict[str, Tensor]:
        """The momentum of every parameter."""
        return {
            f"muon.momentum.{member.name}": momentum.reshape(member.parameter.shape)
            for stack in self._stacks
            for member, momentum in stack.momenta()
        }

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        for stack in self._stacks:
            for member, momentum in stack.momenta():
                momentum.copy_(state[f"muon.momentum.{member.name}"].view_as(momentum))


@dataclass(frozen=True, slots=True)
class _Member:
    """A parameter of ``parts`` matrices on top of each other."""

    name: str
    parameter: nn.Parameter
    parts: int


class _Stack:
    """Matrices of one shape, updated together."""

    def __init__(
        self, members: list[_Member], *, shape: tuple[int, int], precision: torch.dtype
    ) -> None:
        self._members = members
        self._precision = precision
        self._scale = 0.2 * max(shape) ** 0.5
        self._shape = shape
        num_matrices = sum(member.parts for member in members)
        self._momentum = torch.zeros(num_matrices, *shape, device=members[0].parameter.device)
        self._gradient = torch.zeros_like(self._momentum)
        self._direction: Direction = muon_direction

    def rehearse(self, *, compile_it: bool) -> None:
        """Settle for torch's own kernels, or make some for just this shape and try them."""
        self._direction = muon_direction
        if compile_it:
            direction = compiled(muon_direction)
            direction(self._gradient, self._momentum.clone(), self._precision)
            self._direction = direction

    def momenta(self) -> Iterable[tuple[_Member, Tensor]]:
        """Each member with its slice of the momentum, ``(parts, rows, columns)``."""
        sizes = [member.parts for member in self._members]
        return zip(self._members, torch.split(self._momentum, sizes), strict=True)

    def step(self, rate: float, *, decay: Decay) -> None:
        """Take the direction off the weights, and what decay takes."""
        gradients = [self._matrices(member, member.parameter.grad) for member in self._members]
        torch.cat(gradients, out=self._gradient)
        update = self._direction(self._gradient, self._momentum, self._precision)
        sizes = [member.parts for member in self._members]
        for member, part in zip(self._members, torch.split(update, sizes), strict=True):
            weights = self._matrices(member, member.parameter)
            decay.shrink(weights, part, rate=rate)
            weights.add_(part, alpha=-rate * self._scale)

    def _matrices(self, member: _Member, tensor: Tensor | None) -> Tensor:
        assert tensor is not None
        return tensor.view(member.parts, *self._shape)


Direction = Callable[[Tensor, Tensor, torch.dtype], Tensor]
"""What :func:`muon_direction` does, compiled or not."""


def muon_direction(gradient: Tensor, momentum: Tensor, precision: torch.dtype) -> Tensor:
    """Where Muon goes: Nesterov momentum, orthogonalised.

    Args:
        gradient: ``(matrices, rows, columns)``; overwritten.
        momentum: The running mean of the gradients, the same shape; moved on in place.
        precision: What to orthogonalise in.

    Returns:
        The same shape and dtype as ``momentum``; to be taken off the weights.
    """
    momentum.lerp_(gradient, 1 - _MOMENTUM)
    ahead = gradient.lerp_(momentum, _MOMENTUM)
    return orthogonalise(ahead.to(precision)).to(momentum.dtype)


def orthogonalise(stack: Tensor) -> Tensor:
    """Bring all singular values of each matrix near one, by five steps of Newton-Schulz.

    Args:
        stack: ``(matrices, rows, columns)``; unchanged.

    Returns:
        The same shape and precision; singular values between about 0.5 and 1.5.
    """
    a, b, c = _NEWTON_SCHULZ
    tall = stack.shape[-2] > stack.shape[-1]
    x = stack.mT if tall else stack
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = torch.bmm(x, x.mT)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x
