"""What a decoder writes after a prompt, taking the likeliest token each time.

Shape suffixes: B sequences, T tokens of a sequence, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from tokenizers import Tokenizer
from torch import Tensor

from corpora.vocabulary import END_OF_TEXT, PAD, Vocabulary
from training.evaluation import Scorer
from training.ports import Continuation

NEW_TOKENS: Final = 32

_LENGTH_MULTIPLE: Final = 64


@torch.no_grad()
def continue_prompts(
    model: Scorer,
    prompts: Sequence[str],
    *,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    context_length: int,
    device: torch.device,
) -> list[Continuation]:
    """What a decoder writes after each prompt, up to ``NEW_TOKENS`` or its end of text."""
    if not prompts:
        return []
    num_new = min(NEW_TOKENS, context_length // 2)
    encoded = [
        # the beginning of a document, as in training; of a long prompt the end counts
        [END_OF_TEXT, *tokenizer.encode(prompt, add_special_tokens=False).ids][
            -(context_length - num_new) :
        ]
        for prompt in prompts
    ]
    lengths_B = torch.tensor([len(ids) for ids in encoded], device=device)
    longest = int(lengths_B.max()) + num_new
    # one shape for all steps; a causal model never sees the padding behind the text
    length = min(context_length, -(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE)
    ids_BT = torch.full((len(encoded), length), PAD, device=device)
    for row, ids in enumerate(encoded):
        ids_BT[row, : len(ids)] = torch.tensor(ids, device=device)
    forbidden_V = torch.from_numpy(vocabulary.is_special.copy()).to(device)
    forbidden_V[END_OF_TEXT] = False
    rows_B = torch.arange(len(encoded), device=device)
    for step in range(num_new):
        last_B1 = (lengths_B + step - 1)[:, None]
        logits_BV = model.logits(ids_BT, positions=last_B1)[:, 0]
        ids_BT[rows_B, lengths_B + step] = logits_BV.masked_fill(forbidden_V, -torch.inf).argmax(-1)
    return [
        Continuation(prompt, _written(ids_BT[row, len(ids) : len(ids) + num_new], tokenizer))
        for row, (prompt, ids) in enumerate(zip(prompts, encoded, strict=True))
    ]


def _written(new_ids: Tensor, tokenizer: Tokenizer) -> str:
    """The text of new tokens before the first `<|endoftext|>`."""
    ids: list[int] = new_ids.tolist()
    if END_OF_TEXT in ids:
        ids = ids[: ids.index(END_OF_TEXT)]
    text: str = tokenizer.decode(ids)
    return text
