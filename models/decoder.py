"""The decoder: Qwen3's architecture, with the tensor names of ``Qwen3ForCausalLM``.

Pre-norm, RMSNorm, rotary embeddings over the whole head, normalised queries and keys, grouped
queries, SwiGLU, no biases (arXiv 2505.09388).

Shapes: B sequences, T tokens, D width, H heads, G key-value heads, K width of a head, F width of
the feed-forward layer.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.spec import ModelShape
from models.attention import Attend, Sight, attention
from models.language_model import LanguageModel
from models.layers import Embedding, Linear, RMSNorm, Rotary, rotate

RMS_NORM_EPS: Final = 1e-6
_TABLE_STD: Final = 0.02
_FULL_NORM_WIDTH: Final = 128
"""The widest decoder with a tied output whose last norm starts at 1."""


class Decoder(LanguageModel):
    """Guesses each next token from those before it."""

    def __init__(self, shape: ModelShape) -> None:
        """Make the parameters; :func:`models.architectures.new_model` gives them values."""
        super().__init__(shape)
        self.model = _Trunk(shape)
        self.rotary = Rotary(
            shape.context_length, head_width=shape.head_dim, theta=shape.rotary_base
        )
        if not shape.tie_embeddings:
            self.lm_head = Linear(shape.width, shape.vocab_size)

    def hidden(
        self,
        input_ids_BT: Tensor,
        *,
        documents: Tensor | None = None,
        causal: bool = False,  # noqa: ARG002 - it always is
    ) -> Tensor:
        """The last layer's normalised states, ``(B, T, D)``."""
        x = self.model.embed_tokens(input_ids_BT, dtype=self.compute_dtype)
        tables = self.rotary(x)
        attend = attention(
            Sight(causal=True, documents=documents),
            kernel=self.kernel,
            num_tokens=x.shape[1],
            device=x.device,
        )
        for layer in self.model.layers:
            x = layer(x, tables=tables, attend=attend)
        return self.model.norm(x)  # type: ignore[no-any-return]

    def before_output(self, hidden: Tensor) -> Tensor:
        """The states themselves."""
        return hidden

    @property
    def output_table(self) -> nn.Parameter:
        """The output projection, ``(V, D)``."""
        return self.input_table if self.shape.tie_embeddings else self.lm_head.weight

    @property
    def output_bias(self) -> None:
        """There is none."""
        return

    @property
    def input_table(self) -> nn.Parameter:
        """The embedding, ``(V, D)``."""
        return self.model.embed_tokens.weight


class _Trunk(nn.Module):
    """Everything below the output projection; exists for the names' sake."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.embed_tokens = Embedding(shape.vocab_size, shape.width)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width, eps=RMS_NORM_EPS)


class _Layer(nn.Module):
    """Attention, then the feed-forward layer, each behind a norm and added to what came in."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.width, eps=RMS_NORM_EPS)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width, eps=RMS_NORM_EPS)
        self.mlp = _FeedForward(shape)

    def forward(self, x_BTD: Tensor, *, tables: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """``(B, T, D) -> (B, T, D)``."""
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), tables=tables, attend=attend)
        return x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    """Causal attention with grouped queries and normalised queries and keys."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        q_width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.head_dim = shape.head_dim
        self.q_proj = Linear(shape.width, q_width)
        self.k_proj = Linear(shape.width, kv_width)
        self.v_proj = Linear(shape.width, kv_width)
        self.o_proj = Linear(q_width, shape.width)
        self.q_norm = RMSNorm(shape.head_dim, eps=RMS_NORM_EPS)
        self.k_norm = RMSNorm(shape.head_dim, eps=RMS_NORM_EPS)

    def forward(self, x_BTD: Tensor, *, tables: tuple[Tensor, Tensor], attend: Attend) -> Tensor:
        """``(B, T, D) -> (B, T, D)``."""
        q_BHTK = self.q_norm(self._heads(self.q_proj(x_BTD))).transpose(1, 2)
        k_BGTK = self.k_norm(self._heads(self.k_proj(x_BTD))).transpose(1, 2)
        v_BGTK = self._heads(self.v_proj(x_BTD)).transpose(1, 2)
        seen = attend(rotate(q_BHTK, tables), rotate(k_BGTK, tables), v_BGTK)
        return self.o_proj(seen.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.view(*x_BTD.shape[:-1], -1, self.head_dim)


class _FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.gate_proj = Linear(shape.width, shape.ffn_width)
        self.up_proj = Linear(shape.width, shape.ffn_width)
        self.down_proj = Linear(shape.ffn_width, shape.width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """``(B, T, D) -> (B, T, D)``."""
        gated_BTF = functional.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD)
        return self.down_proj(gated_BTF)  # type: ignore[no-any-return]


def initialise_decoder(decoder: Decoder, *, generator: torch.Generator) -> None:
    """Draw the weights: matrices uniform with variance 1/fan_in, output projections zero.

    With the projections back into the residual stream at zero every layer starts as the identity,
    whatever the depth (arXiv 2203.03466). A tied output then meets each token's own row, and would
    bet ``0.02 * width`` nats on the token coming twice: 20 at a width of 1024. So the last norm
    starts the lower the wider the model, as that paper scales outputs: 2.6 nats are bet at most.
    """
    nn.init.normal_(decoder.input_table, std=_TABLE_STD, generator=generator)
    if decoder.shape.tie_embeddings:
        nn.init.constant_(
            decoder.model.norm.weight, min(1.0, _FULL_NORM_WIDTH / decoder.shape.width)
        )
    else:
        nn.init.zeros_(decoder.lm_head.weight)
    for name, parameter in decoder.model.layers.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            nn.init.zeros_(parameter)
        elif name.endswith("_proj.weight"):
            bound = (3.0 / parameter.shape[1]) ** 0.5
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
