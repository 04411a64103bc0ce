"""Attention: who sees whom, and the kernels that compute it.

Shapes: B sequences, H heads, G key-value heads, T tokens, K width of a head; S queries of a block
and L keys that they may see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

Kernel = Literal["sdpa", "blocks", "flex"]
"""``sdpa`` is torch's own attention; ``blocks`` plain matrix products, of some queries at a time
with just the keys that they may see; ``flex`` a kernel that is compiled for a rule of who sees
whom (arXiv 2412.05496)."""
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(B, H, T, K), (B, G, T, K), (B, G, T, K) -> (B, H, T, K)``: queries, keys and values to what
the queries have seen. Keys and values of fewer heads are shared (arXiv 2305.13245)."""

_QUERIES_OF_A_BLOCK: Final = 128


@dataclass(frozen=True, slots=True)
class Sight:
    """Which tokens a token may look at; itself always."""

    causal: bool = False
    """Not at those that come after it."""
    reach: int | None = None
    """Not at those further away, to either side."""
    documents: Tensor | None = None
    """``(B, T)``, the numbers of documents: not at those of another document."""

    def of(self, queries: slice, keys: slice, *, device: torch.device) -> Tensor | None:
        """True where a query (row) sees a key (column), ``(S, L)`` or ``(B, 1, S, L)``.

        None: everywhere.
        """
        query_S1 = torch.arange(queries.start, queries.stop, device=device)[:, None]
        key_1L = torch.arange(keys.start, keys.stop, device=device)[None, :]
        rules = []
        if self.causal:
            rules.append(query_S1 >= key_1L)
        if self.reach is not None:
            rules.append((query_S1 - key_1L).abs() <= self.reach)
        if self.documents is not None:
            documents = self.documents[:, None, :, None]
            rules.append(documents[..., queries, :] == documents[..., keys, :].transpose(-1, -2))
        if not rules:
            return None
        allowed = rules[0]
        for rule in rules[1:]:
            allowed = allowed & rule
        return allowed

    def keys(self, queries: slice, *, num_tokens: int) -> slice:
        """The smallest run of keys that holds all that some queries may see, but for documents."""
        reach = num_tokens if self.reach is None else self.reach
        after = 0 if self.causal else reach
        return slice(max(0, queries.start - reach), min(num_tokens, queries.stop + after))


def attention(sight: Sight, *, kernel: Kernel, num_tokens: int, device: torch.device) -> Attend:
    """Attention among ``num_tokens`` tokens; what layers have in common is made once, here."""
    if sight.reach is not None and num_tokens <= sight.reach + 1:
        sight = replace(sight, reach=None)
    match kernel:
        case "sdpa":
            return _sdpa(sight, num_tokens=num_tokens, device=device)
        case "blocks":
            return _blocks(sight, num_tokens=num_tokens, device=device)
        case "flex":
            return _flex(sight, num_tokens=num_tokens, device=device)


def _sdpa(sight: Sight, *, num_tokens: int, device: torch.device) -> Attend:
    everything = slice(0, num_tokens)
    is_plainly_causal = sight == Sight(causal=True)
    mask = None if is_plainly_causal else sight.of(everything, everything, device=device)

    def attend(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(
            q_BHTK,
            k_BGTK,
            v_BGTK,
            attn_mask=mask,
            is_causal=is_plainly_causal,
            enable_gqa=k_BGTK.shape[1] != q_BHTK.shape[1],
        )

    return attend


def _blocks(sight: Sight, *, num_tokens: int, device: torch.device) -> Attend:
    blocks = []
    for start in range(0, num_tokens, _QUERIES_OF_A_BLOCK):
        queries = slice(start, min(start + _QUERIES_OF_A_BLOCK, num_tokens))
        keys = sight.keys(queries, num_tokens=num_tokens)
        allowed = sight.of(queries, keys, device=device)
        blocks.append((queries, keys, None if allowed is None else ~allowed))

    def attend(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
        q_BHTK = q_BHTK * q_BHTK.shape[-1] ** -0.5
        k_BHTK, v_BHTK = k_BGTK, v_BGTK
        shared_by = q_BHTK.shape[1] // k_BGTK.shape[1]
        if shared_by > 1:
            k_BHTK = k_BGTK.repeat_interleave(shared_by, dim=1)
            v_BHTK = v_BGTK.repeat_interleave(shared_by, dim=1)
        k_BHKT = k_BHTK.transpose(-1, -2)
        seen = []
        for queries, keys, forbidden in blocks:
            scores = (q_BHTK[:, :, queries] @ k_BHKT[..., keys]).float()
            if forbidden is not None:
                scores = scores.masked_fill(forbidden, -torch.inf)
            seen.append(scores.softmax(dim=-1).to(q_BHTK.dtype) @ v_BHTK[:, :, keys])
        return torch.cat(seen, dim=2)

    return attend


def _flex(sight: Sight, *, num_tokens: int, device: torch.device) -> Attend:
    # Brings torch's compiler along, which takes seconds to import and only some jobs need.
    from torch.nn.attention.flex_attention import (  # noqa: PLC0415
        create_block_mask,
        flex_attention,
    )

    causal, reach, documents = sight.causal, sight.reach, sight.documents

    def allows(sequence: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        allowed = query >= key if causal else query == query  # noqa: PLR0124 - true, and a tensor
        if reach is not None:
            allowed = allowed & ((query - key).abs() <= reach)
        if documents is not None:
            allowed = allowed & (documents[sequence, query] == documents[sequence, key])
        return allowed

    block_mask = create_block_mask(
        allows,
        B=None if documents is None else len(documents),
        H=None,
        Q_LEN=num_tokens,
        KV_LEN=num_tokens,
        device=device,
    )
    # Without being compiled it makes all scores at once; on a CPU it is only ever tested.
    run = torch.compile(flex_attention, dynamic=False) if device.type == "cuda" else flex_attention

    def attend(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor) -> Tensor:
        seen = run(
            q_BHTK,
            k_BGTK,
            v_BGTK,
            block_mask=block_mask,
            enable_gqa=k_BGTK.shape[1] != q_BHTK.shape[1],
        )
        assert isinstance(seen, Tensor)  # a tuple only if more was asked for
        return seen

    return attend
