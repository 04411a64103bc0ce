"""The small parts that both architectures are made of.

Shapes: B sequences, T tokens of a sequence, D width, V vocabulary, N rows of any kind (B x T, or
the removed tokens of a batch), H heads, K width of a head.

Weights are kept in fp32 (the masters that the optimizer moves) and cast where they are used: what
comes in decides the precision that is computed in.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

_LOSS_CHUNK_ROWS = 256
"""Logits are made for so many tokens at a time on a CPU. With fewer, adding up the gradient of the
table chunk by chunk takes a good part of the time (docs/log.md); with more, nothing is gained."""
_LOSS_CHUNK_BYTES_CUDA = 2**28


class Linear(nn.Module):
    """A matrix without bias, ``(N, in) -> (N, out)``."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        """The weight is empty until the model initialises it."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_outputs, num_inputs))

    def forward(self, x: Tensor) -> Tensor:
        """Compute in the precision of ``x``."""
        return functional.linear(x, self.weight.to(x.dtype))


class Embedding(nn.Module):
    """A table of ``V`` rows of width ``D``."""

    def __init__(self, vocab_size: int, width: int) -> None:
        """The table is empty until the model initialises it."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocab_size, width))

    def forward(self, ids_BT: Tensor, *, dtype: torch.dtype) -> Tensor:
        """Rows of the table, ``(B, T, D)`` in ``dtype``."""
        return functional.embedding(ids_BT, self.weight).to(dtype)


class LayerNorm(nn.Module):
    """Layer normalisation without bias (arXiv 1607.06450)."""

    def __init__(self, width: int, *, eps: float = 1e-5) -> None:
        """The scale starts at one."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the last dimension."""
        weight = self.weight.to(x.dtype)
        return functional.layer_norm(x, weight.shape, weight, None, self.eps)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation (arXiv 1910.07467)."""

    def __init__(self, width: int, *, eps: float = 1e-6) -> None:
        """The scale starts at one."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the last dimension."""
        if x.is_cuda or torch.compiler.is_compiling():  # which have a fused kernel of their own
            weight = self.weight.to(x.dtype)
            return functional.rms_norm(x, weight.shape, weight, self.eps)
        return cast("Tensor", _RmsNorm.apply(x, self.weight, self.eps))  # type: ignore[no-untyped-call]


class _RmsNorm(torch.autograd.Function):
    """RMSNorm in few passes over memory; on a CPU ``functional.rms_norm`` takes a dozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:  # noqa: ANN401 - torch's own context type
        """``x * weight / rms(x)``, statistics in fp32."""
        width = x.shape[-1]
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = norm.square_().div_(width).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        normed: Tensor = x * scale.to(x.dtype)
        return normed.mul_(weight.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401 - torch's own context type
        """Gradients of ``x`` and ``weight``."""
        x, weight, scale = ctx.saved_tensors
        width = x.shape[-1]
        normed = x.float() * scale
        grad = grad.float()
        product = grad * normed
        grad_weight = product.reshape(-1, width).sum(0)
        along = torch.matmul(product, weight).unsqueeze_(-1).div_(width)
        grad_x = torch.addcmul(grad * weight, normed, along, value=-1).mul_(scale)
        return grad_x.to(x.dtype), grad_weight, None


class Rotary(nn.Module):
    """Cosines and sines of rotary embeddings (arXiv 2104.09864), each ``(T, K)``.

    Tables and not formulas: a compiler that sees how they are made makes them again in every
    kernel that rotates something. They are no weights, and no file holds them.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, context_length: int, *, head_width: int, theta: float) -> None:
        """Tables for up to ``context_length`` tokens.

        Args:
            context_length: The most tokens.
            head_width: K; the whole head is rotated, in halves as in Hugging Face's models.
            theta: The base of the wavelengths.
        """
        super().__init__()
        frequencies = theta ** -(torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
        angles = torch.outer(torch.arange(context_length, dtype=torch.float32), frequencies)
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, x_BTD: Tensor) -> tuple[Tensor, Tensor]:
        """The tables for as many tokens as ``x`` has, in its precision."""
        num_tokens = x_BTD.shape[1]
        return self.cosines[:num_tokens].to(x_BTD.dtype), self.sines[:num_tokens].to(x_BTD.dtype)


def rotate(x_BHTK: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys by their positions; ``tables`` from :class:`Rotary`."""
    cosines, sines = tables
    first, second = x_BHTK.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return torch.addcmul(x_BHTK * cosines, turned, sines)


def linear_cross_entropy(
    hidden_ND: Tensor,
    table_VD: Tensor,
    bias_V: Tensor | None,
    *,
    targets_N: Tensor,
    weights_N: Tensor,
) -> Tensor:
    """The weighted sum of cross entropies of ``hidden @ table.T + bias``, in nats, a scalar.

    The logits exist only a chunk at a time: each chunk's gradients are computed with its loss, so
    that nothing of size ``(N, V)`` waits for the backward pass (arXiv 2410.10989). Softmax and
    sums are in fp32 whatever the precision of ``hidden``.

    Args:
        hidden_ND: What the output projection gets.
        table_VD: The output projection, fp32.
        bias_V: Its bias, fp32, or None.
        targets_N: The right token of each row.
        weights_N: What each row's loss counts for, fp32; 0 leaves it out.
    """
    loss = _LinearCrossEntropy.apply(hidden_ND, table_VD, bias_V, targets_N, weights_N)  # type: ignore[no-untyped-call]
    return cast("Tensor", loss)


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients of an output projection in one pass over its chunks."""

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd functions take their inputs by position
        ctx: Any,  # noqa: ANN401 - torch's own context type
        hidden: Tensor,
        table: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
    ) -> Tensor:
        """The loss; gradients are kept for :meth:`backward`."""
        rows = _LOSS_CHUNK_ROWS
        if hidden.is_cuda:
            rows = max(32, _LOSS_CHUNK_BYTES_CUDA // (4 * table.shape[0]))
        weight = table.to(hidden.dtype)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        grad_hidden = torch.empty_like(hidden)
        grad_table = torch.zeros_like(table)
        grad_bias = None if bias is None else torch.zeros_like(bias)
        chunks = (torch.split(part, rows) for part in (hidden, targets, weights, grad_hidden))
        for h, target, w, grad_h in zip(*chunks, strict=True):
            logits = torch.mm(h, weight.T).float()
            if bias is not None:
                logits.add_(bias)
            logits.sub_(logits.amax(-1, keepdim=True))
            right = logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
            grad = logits.exp_()
            total = grad.sum(-1)
            loss.add_(torch.dot(total.log().sub_(right), w))
            grad.mul_((w / total).unsqueeze(-1))
            grad.scatter_add_(-1, target.unsqueeze(-1), -w.unsqueeze(-1))
            if grad_bias is not None:
                grad_bias.add_(grad.sum(0))
            grad = grad.to(hidden.dtype)
            torch.mm(grad, weight, out=grad_h)
            if grad.dtype == grad_table.dtype:
                grad_table.addmm_(grad.T, h)
            else:
                grad_table.add_(torch.mm(grad.T, h))
        ctx.save_for_backward(grad_hidden, grad_table, grad_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's own context type
        """Gradients of hidden, table and bias, scaled by the loss's own."""
        grad_hidden, grad_table, grad_bias = ctx.saved_tensors
        scaled_bias = None if grad_bias is None else grad_bias * grad
        return grad_hidden * grad.to(grad_hidden.dtype), grad_table * grad, scaled_bias, None, None
