"""How a tokenizer of ours is written to its `tokenizer.json`."""

from __future__ import annotations

import json
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders

from corpora.vocabulary import SPECIAL_TOKENS


def serialise(tokenizer: Tokenizer) -> bytes:
    """The JSON of a byte-level tokenizer with our special tokens: the same bytes every time.

    The vocabulary is written in the order of ids, which the library's own is not.
    """
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL_TOKENS])
    description: dict[str, Any] = json.loads(tokenizer.to_str())
    vocabulary = description["model"]["vocab"]
    if isinstance(vocabulary, dict):
        by_id = sorted(vocabulary.items(), key=lambda item: item[1])
        description["model"]["vocab"] = dict(by_id)
    return json.dumps(description, ensure_ascii=False, indent=1).encode()
