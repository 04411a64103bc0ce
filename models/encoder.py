"""The encoder: ModernBERT's architecture, with the tensor names of ``ModernBertForMaskedLM``.

Pre-norm, LayerNorm without bias, rotary embeddings, GeGLU; every third layer sees the whole
sequence and the others 64 tokens to either side (arXiv 2412.13663).

Shapes: B sequences, T tokens, D width, H heads, K width of a head, F width of the feed-forward
layer.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.rotary import LOCAL_ROPE_THETA
from core.sizing import ENCODER_GLOBAL_EVERY, ENCODER_LOCAL_WINDOW
from core.spec import ModelShape
from models.attention import Attend, Sight, attention
from models.language_model import LanguageModel
from models.layers import Embedding, LayerNorm, Linear, Rotary, rotate

NORM_EPS: Final = 1e-5


class Encoder(LanguageModel):
    """Guesses removed tokens from both sides."""

    fused_matrices = {"attn.Wqkv.weight": 3, "mlp.Wi.weight": 2}  # noqa: RUF012 - read only, typed Mapping above

    def __init__(self, shape: ModelShape) -> None:
        """Make the parameters; :func:`models.architectures.new_model` gives them values."""
        super().__init__(shape)
        self.model = _Trunk(shape)
        self.head = _Head(shape)
        self.decoder = _OutputBias(shape)
        self.global_rotary, self.local_rotary = (
            Rotary(shape.context_length, head_width=shape.head_dim, theta=theta)
            for theta in (shape.rotary_base, LOCAL_ROPE_THETA)
        )

    def hidden(
        self, input_ids_BT: Tensor, *, documents: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """The last layer's normalised states, ``(B, T, D)``; see the base class.

        Under a causal mask the same layers make a decoder, which is how an encoder may begin to
        learn (arXiv 2507.00994): a local layer then sees 64 tokens back, a global one all of them.
        """
        x = self.model.embeddings(input_ids_BT, dtype=self.compute_dtype)
        global_tables, local_tables = self.global_rotary(x), self.local_rotary(x)
        look_everywhere, look_around = (
            attention(
                Sight(causal=causal, reach=reach, documents=documents),
                kernel=self.kernel,
                num_tokens=x.shape[1],
                device=x.device,
            )
            for reach in (None, ENCODER_LOCAL_WINDOW // 2)
        )
        for index, layer in enumerate(self.model.layers):
            if is_global(index):
                x = layer(x, tables=global_tables, attend=look_everywhere)
            else:
                x = layer(x, tables=local_tables, attend=look_around)
        return self.model.final_norm(x)  # type: ignore[no-any-return]

    def before_output(self, hidden: Tensor) -> Tensor:
        """The prediction head, ``(..., D) -> (..., D)``."""
        return self.head(hidden)  # type: ignore[no-any-return]

    @property
    def output_table(self) -> nn.Parameter:
        """The output projection is the embedding, ``(V, D)``."""
        return self.input_table

    @property
    def output_bias(self) -> nn.Parameter:
        """The bias of the output projection, ``(V,)``."""
        return self.decoder.bias

    @property
    def input_table(self) -> nn.Parameter:
        """The embedding, ``(V, D)``."""
        return self.model.embeddings.tok_embeddings.weight


def is_global(layer: int) -> bool:
    """Whether the layer of this index sees the whole sequence."""
    return layer % ENCODER_GLOBAL_EVERY == 0


class _Trunk(nn.Module):
    """Everything below the prediction head; exists for the names' sake."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.embeddings = _Embeddings(shape)
        self.layers = nn.ModuleList(_Layer(shape, index=index) for index in range(shape.layers))
        self.final_norm = LayerNorm(shape.width, eps=NORM_EPS)


class _Embeddings(nn.Module):
    """The table and a norm after it."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.tok_embeddings = Embedding(shape.vocab_size, shape.width)
        self.norm = LayerNorm(shape.width, eps=NORM_EPS)

    def forward(self, ids_BT: Tensor, *, dtype: torch.dtype) -> Tensor:
        """``(B, T) -> (B, T, D)``."""
        return self.norm(self.tok_embeddings(ids_BT, dtype=dtype))  # type: ignore[no-any-return]


class _Layer(nn.Module):
    """Attention, then the feed-forward layer, each behind a norm and added to what came in."""

    def __init__(self, shape: ModelShape, *, index: int) -> None:
        super().__init__()
        # The embeddings are normalised already when they reach the first layer.
        self.attn_norm = nn.Identity() if index == 0 else LayerNorm(shape.width, eps=NORM_EPS)
        self.attn = _Attention(shape)
        self.mlp_norm = LayerNorm(shape.width, eps=NORM_EPS)
        self.mlp = _FeedForward(shape)

    def forward(self, x_BTD: Tensor, *, tables: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """``(B, T, D) -> (B, T, D)``."""
        x_BTD = x_BTD + self.attn(self.attn_norm(x_BTD), tables=tables, attend=attend)
        return x_BTD + self.mlp(self.mlp_norm(x_BTD))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    """Attention to both sides."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.Wqkv = Linear(shape.width, 3 * shape.width)
        self.Wo = Linear(shape.width, shape.width)

    def forward(self, x_BTD: Tensor, *, tables: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """``(B, T, D) -> (B, T, D)``."""
        qkv = self.Wqkv(x_BTD).unflatten(-1, (3, self.heads, -1)).transpose(1, 3)
        q_BHTK, k_BHTK, v_BHTK = qkv.unbind(2)
        seen = attend(rotate(q_BHTK, tables), rotate(k_BHTK, tables), v_BHTK)
        return self.Wo(seen.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class _FeedForward(nn.Module):
    """GeGLU (arXiv 2002.05202)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.Wi = Linear(shape.width, 2 * shape.ffn_width)
        self.Wo = Linear(shape.ffn_width, shape.width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """``(B, T, D) -> (B, T, D)``."""
        value_BTF, gate_BTF = self.Wi(x_BTD).chunk(2, dim=-1)
        return self.Wo(functional.gelu(value_BTF) * gate_BTF)  # type: ignore[no-any-return]


class _Head(nn.Module):
    """What stands between the trunk and the output projection."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.dense = Linear(shape.width, shape.width)
        self.norm = LayerNorm(shape.width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., D) -> (..., D)``."""
        return self.norm(functional.gelu(self.dense(x)))  # type: ignore[no-any-return]


class _OutputBias(nn.Module):
    """The one parameter of the output projection that is not shared with the embedding."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape.vocab_size))


def initialise_encoder(encoder: Encoder, *, generator: torch.Generator) -> None:
    """Draw the weights: matrices uniform with variance 1/fan_in, output projections zero.

    With the projections back into the residual stream at zero every layer starts as the identity,
    whatever the depth (arXiv 2203.03466).
    """
    nn.init.normal_(encoder.input_table, std=0.02, generator=generator)
    for name, parameter in encoder.named_parameters():
        if name.endswith("Wo.weight"):
            nn.init.zeros_(parameter)
        elif name.endswith(("Wqkv.weight", "Wi.weight", "dense.weight")):
            bound = (3.0 / parameter.shape[1]) ** 0.5
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
