"""Attention, behind one call, whatever kernel answers it.

Shapes: B sequences, H heads, T tokens, K width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attend(
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    *,
    causal: bool = False,
    mask_TT: Tensor | None = None,
) -> Tensor:
    """Scaled dot-product attention, ``(B, H, T, K)``.

    Args:
        q_BHTK: Queries.
        k_BHTK: Keys; fewer heads than the queries have are shared among them (arXiv 2305.13245).
        v_BHTK: Values, of as many heads as the keys.
        causal: Whether a token sees only itself and those before it.
        mask_TT: True where a query (row) sees a key (column); None: everywhere.
    """
    return functional.scaled_dot_product_attention(
        q_BHTK,
        k_BHTK,
        v_BHTK,
        attn_mask=mask_TT,
        is_causal=causal,
        enable_gqa=k_BHTK.shape[1] != q_BHTK.shape[1],
    )


def window_mask(num_tokens: int, *, reach: int, device: torch.device) -> Tensor | None:
    """Who sees whom when each token sees ``reach`` tokens to either side, ``(T, T)``.

    None if the window covers the whole sequence.
    """
    if num_tokens <= reach + 1:
        return None
    place = torch.arange(num_tokens, device=device)
    return (place[:, None] - place[None, :]).abs() <= reach
