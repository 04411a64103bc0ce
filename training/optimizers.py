"""The optimizers: Muon on the hidden matrices and AdamW on the rest, or AdamW on everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from core.spec import OptimizerName, OptimizerSpec
from models.language_model import LanguageModel
from training.adamw import AdamW, AdamWGroup
from training.muon import Muon
from training.weight_decay import NO_DECAY, Decay

_TABLE_RATES: Final[Mapping[OptimizerName, float]] = {"muon": 0.3, "adamw": 2.0}
"""The rate of embeddings, in terms of the hidden matrices' (docs/log.md)."""
_VECTOR_RATES: Final[Mapping[OptimizerName, float]] = {"muon": 3.0, "adamw": 2.0}
"""The rate of norms and biases, likewise; the bias of an encoder has several nats to go."""


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
        AdamWGroup(tables, peak_rate=table_rate, decay=NO_DECAY),
        AdamWGroup(vectors, peak_rate=vector_rate, decay=NO_DECAY),
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
