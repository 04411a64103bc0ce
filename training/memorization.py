"""Memorisation: how much of its training text a decoder says by heart.

The measure is extraction with a known beginning (arXiv 2202.07646, "k-extractable"): given 50
tokens of a training document, does the likeliest continuation, token by token, repeat the next 50
to the letter? That is so just if each of the 50 is the model's first guess behind the true ones
before it, and so one pass over the passages answers it; nothing needs to be generated.

Shape suffixes: P passages, B of a batch, T tokens of a passage, K of them to be said, V vocabulary.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.vocabulary import END_OF_TEXT
from corpora.windows import TokenStream
from training.evaluation import Scorer

PROMPT_TOKENS: Final = 50
SAID_TOKENS: Final = 50
MOST_PASSAGES: Final = 256
"""A rate of 1 % is then told from none, and the cost is that of 25,600 tokens of held-out text."""

_PLACES_LOOKED_AT: Final = 4096
_PASSAGES_AT_ONCE: Final = 16


def memorization_rate(model: Scorer, split: TokenStream, *, device: torch.device) -> float | None:
    """The share of passages of the training text that the model completes verbatim.

    Args:
        model: A decoder whose context holds a passage: see :func:`can_be_measured`.
        split: What it was trained on; the same passages are taken at every call, spread evenly.
        device: Where the model is.

    Returns:
        Between 0 and 1; None where no document is long enough for a passage.
    """
    passages_PT = _passages(split)
    if not len(passages_PT):
        return None
    batches = range(0, len(passages_PT), _PASSAGES_AT_ONCE)
    num_said = sum(
        _num_said(model, passages_PT[first : first + _PASSAGES_AT_ONCE], device=device)
        for first in batches
    )
    return num_said / len(passages_PT)


def can_be_measured(*, context_length: int) -> bool:
    """Whether a passage fits into the context."""
    return context_length >= PROMPT_TOKENS + SAID_TOKENS - 1


@torch.no_grad()
def _num_said(model: Scorer, passages_BT: NDArray[np.int64], *, device: torch.device) -> int:
    """How many of the passages go on as the model says."""
    ids_BT = torch.from_numpy(passages_BT).to(device)
    places_K = torch.arange(PROMPT_TOKENS - 1, PROMPT_TOKENS + SAID_TOKENS - 1, device=device)
    logits_BKV = model.logits(ids_BT[:, :-1], positions=places_K.expand(len(ids_BT), -1))
    is_said_BK = logits_BKV.argmax(-1) == ids_BT[:, PROMPT_TOKENS:]
    return int(is_said_BK.all(dim=-1).sum())


def _passages(split: TokenStream) -> NDArray[np.int64]:
    """Stretches of single documents, evenly spread over the split, ``(P, T)``."""
    length = PROMPT_TOKENS + SAID_TOKENS
    if split.num_tokens < length:
        return np.zeros((0, length), dtype=np.int64)
    starts = np.unique(np.linspace(0, split.num_tokens - length, _PLACES_LOOKED_AT, dtype=np.int64))
    stretches_PT = np.stack([split.read(start, length) for start in starts.tolist()])
    whole = np.flatnonzero(~(stretches_PT[:, 1:] == END_OF_TEXT).any(axis=1))
    chosen = np.linspace(0, len(whole) - 1, min(MOST_PASSAGES, len(whole)), dtype=np.int64)
    passages_PT: NDArray[np.int64] = stretches_PT[whole[chosen]]
    return passages_PT
