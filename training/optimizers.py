"""The optimizers: Muon on the hidden matrices and AdamW on the rest, or AdamW on everything.

Muon (https://kellerjordan.github.io/posts/muon, arXiv 2502.16982) moves a matrix by its momentum
with all singular values brought near one. Matrices of equal shape are stacked and go through the
Newton-Schulz iteration together, which is several times faster for small models than one by one.

Weight decay is cautious where the spec says so (arXiv 2510.12402): a weight decays only where the
update pulls it towards zero as well, so that decay never works against what the text teaches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final, Protocol, Self

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from core.spec import OptimizerName, OptimizerSpec
from models.language_model import LanguageModel
from training.compiling import compiled

_NEWTON_SCHULZ: Final = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS: Final = 5
_MUON_MOMENTUM: Final = 0.95
_TABLE_RATES: Final[Mapping[OptimizerName, float]] = {"muon": 0.3, "adamw": 2.0}
"""The rate of embeddings, in terms of the hidden matrices' (docs/log.md)."""
_VECTOR_RATES: Final[Mapping[OptimizerName, float]] = {"muon": 3.0, "adamw": 2.0}
"""The rate of norms and biases, likewise; the bias of an encoder has several nats to go."""
_ADAMW_EPS: Final = 1e-10
"""Far below the gradients of rare tokens' rows, which 1e-8 would slow down."""


class Optimizer(Protocol):
    """Moves parameters against their gradients."""

    def step(self, rate_factor: float) -> None:
        """One update, at this share of the peak learning rate."""
        ...

    def rehearse(self, *, compile_it: bool) -> None:
        """Settle for kernels, and compile them if that is asked for; changes no state.

        Raises:
            RuntimeError: they cannot be compiled.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """Everything that the next update depends on, by name."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        ...


def build_optimizer(
    model: LanguageModel, spec: OptimizerSpec, *, precision: torch.dtype
) -> Optimizer:
    """The optimizer of a model: which parameter is moved how, and how fast.

    Weight decay pulls on the hidden matrices alone, not on embeddings, norms and biases.

    Args:
        model: Its parameters are moved in place.
        spec: Which optimizer, and the peak rate of the hidden matrices.
        precision: What Newton-Schulz computes in.
    """
    named = list(model.named_parameters())
    tables = [(name, p) for name, p in named if _is_table(model, p)]
    vectors = [(name, p) for name, p in named if p.ndim == 1]
    hidden = [(name, p) for name, p in named if p.ndim > 1 and not _is_table(model, p)]
    table_rate = _TABLE_RATES[spec.name] * spec.learning_rate
    vector_rate = _VECTOR_RATES[spec.name] * spec.learning_rate
    groups = [
        AdamWGroup(tables, peak_rate=table_rate, decay=_NO_DECAY),
        AdamWGroup(vectors, peak_rate=vector_rate, decay=_NO_DECAY),
    ]
    betas = (spec.beta1, spec.beta2)
    decay = Decay(spec.weight_decay, is_cautious=spec.cautious_decay)
    if spec.name == "adamw":
        groups.append(AdamWGroup(hidden, peak_rate=spec.learning_rate, decay=decay))
        return AdamW(groups, betas=betas)
    muon = Muon(
        hidden,
        peak_rate=spec.learning_rate,
        decay=decay,
        fused=model.fused_matrices,
        precision=precision,
    )
    return Both(muon, AdamW(groups, betas=betas))


def _is_table(model: LanguageModel, parameter: nn.Parameter) -> bool:
    """Whether the parameter has a row for each token of the vocabulary."""
    return parameter is model.input_table or parameter is model.output_table


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


_NO_DECAY: Final = Decay(0.0)


class Both:
    """Two optimizers, each with parameters of its own."""

    def __init__(self, muon: Muon, adamw: AdamW) -> None:
        """Their parameters must not overlap."""
        self._parts = (muon, adamw)

    def step(self, rate_factor: float) -> None:
        """One update of each."""
        for part in self._parts:
            part.step(rate_factor)

    def rehearse(self, *, compile_it: bool) -> None:
        """Settle for the kernels of each."""
        for part in self._parts:
            part.rehearse(compile_it=compile_it)

    def state(self) -> dict[str, Tensor]:
        """The state of each; their names are distinct."""
        return {name: tensor for part in self._parts for name, tensor in part.state().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        for part in self._parts:
            part.load_state(state)


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
    momentum.lerp_(gradient, 1 - _MUON_MOMENTUM)
    ahead = gradient.lerp_(momentum, _MUON_MOMENTUM)
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
                eps=_ADAMW_EPS,
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
