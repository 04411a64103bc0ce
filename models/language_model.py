"""What every model offers: logits for those who read it, a loss for the engine that trains it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.spec import ModelShape
from models.attention import Kernel
from models.layers import linear_cross_entropy


class LanguageModel(nn.Module, ABC):
    """A network that guesses tokens.

    Its parameters are fp32 and carry the names of the Hugging Face layout: ``state_dict()`` is
    what ``model.safetensors`` holds. ``compute_dtype`` is the precision that it computes in,
    ``kernel`` what computes its attention.

    Shapes: B sequences, T tokens of a sequence, D width, V vocabulary, K removed tokens of a
    sequence.
    """

    fused_matrices: Mapping[str, int] = {}
    """How many square-minded matrices a parameter of this name's end is stacked of (q, k, v)."""

    def __init__(self, shape: ModelShape) -> None:
        """Remember the shape; fp32 until told otherwise."""
        super().__init__()
        self.shape = shape
        self.compute_dtype = torch.float32
        self.kernel: Kernel = "sdpa"

    @abstractmethod
    def hidden(
        self, input_ids_BT: Tensor, *, documents: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """The last layer's normalised states, ``(B, T, D)``.

        Args:
            input_ids_BT: The tokens.
            documents: ``(B, T)``, the number of the document that a token is of: tokens see none
                of another. None: everything in a sequence is of one.
            causal: Tokens see none that come after them, as a decoder's never do.
        """

    @abstractmethod
    def before_output(self, hidden: Tensor) -> Tensor:
        """What the output projection gets, ``(..., D) -> (..., D)``."""

    @property
    @abstractmethod
    def output_table(self) -> nn.Parameter:
        """The output projection, ``(V, D)``."""

    @property
    @abstractmethod
    def output_bias(self) -> nn.Parameter | None:
        """The bias of the output projection, ``(V,)``, if there is one."""

    @property
    @abstractmethod
    def input_table(self) -> nn.Parameter:
        """The embedding, ``(V, D)``; the same parameter as the output projection if tied."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.input_table.device

    def logits(self, input_ids: Tensor, *, positions: Tensor | None = None) -> Tensor:
        """Scores of every token of the vocabulary, in fp32.

        Args:
            input_ids: ``(B, T)``.
            positions: ``(B, K)``, the places of a sequence to score; None: all.

        Returns:
            ``(B, K, V)``, or ``(B, T, V)`` without ``positions``.
        """
        states = self.before_output(_pick(self.hidden(input_ids), positions))
        scores = nn.functional.linear(states, self.output_table.to(states.dtype)).float()
        return scores if self.output_bias is None else scores + self.output_bias

    def loss(
        self,
        input_ids: Tensor,
        *,
        labels: Tensor,
        weights: Tensor,
        positions: Tensor | None,
        documents: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """The weighted sum of the cross entropies of ``labels``, in nats, a scalar.

        Args:
            input_ids: ``(B, T)``.
            labels: The right tokens, ``(B, T)``, or ``(B, K)`` with ``positions``.
            weights: What each label counts for, fp32, shaped as ``labels``.
            positions: ``(B, K)``, the places that ``labels`` are about; None: all in order.
            documents: ``(B, T)``, see :meth:`hidden`.
            causal: See :meth:`hidden`.
        """
        hidden_BTD = self.hidden(input_ids, documents=documents, causal=causal)
        states = self.before_output(_pick(hidden_BTD, positions))
        return linear_cross_entropy(
            states.reshape(-1, states.shape[-1]),
            self.output_table,
            self.output_bias,
            targets_N=labels.reshape(-1),
            weights_N=weights.reshape(-1),
        )


def _pick(hidden_BTD: Tensor, positions_BK: Tensor | None) -> Tensor:
    """The states at ``positions``, ``(B, K, D)``; all of them without positions."""
    if positions_BK is None:
        return hidden_BTD
    index = positions_BK.unsqueeze(-1).expand(-1, -1, hidden_BTD.shape[-1])
    return hidden_BTD.gather(1, index)
