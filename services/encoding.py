"""Text to tokens and back, by a tokenizer in the store."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from storage import keys
from storage.base import Store

if TYPE_CHECKING:  # the library is loaded by the first request that needs it
    from tokenizers import Tokenizer

TOKENIZER_FILE: Final = "tokenizer.json"


def tokenizer_json(store: Store, tokenizer_id: str) -> bytes:
    """The bytes of a tokenizer's ``tokenizer.json``."""
    return b"".join(store.open(f"{keys.tokenizer(tokenizer_id)}{TOKENIZER_FILE}"))


def encode(store: Store, tokenizer_id: str, text: str) -> tuple[list[int], list[str]]:
    """The token ids of a text, and what each of them says."""
    from corpora.tokenizer import encode_text  # noqa: PLC0415 - see above

    encoded = encode_text(_load(store, tokenizer_id), text)
    return encoded.ids, encoded.pieces


def decode(store: Store, tokenizer_id: str, tokens: list[int]) -> str:
    """The text of token ids.

    Raises:
        InvalidRequest: the tokenizer has no such id.
    """
    from corpora.tokenizer import decode_tokens  # noqa: PLC0415 - see above

    return decode_tokens(_load(store, tokenizer_id), tokens)


@lru_cache(maxsize=8)
def _load(store: Store, tokenizer_id: str) -> Tokenizer:
    """A tokenizer never changes, so the last few stay loaded."""
    from corpora.tokenizer import load_tokenizer  # noqa: PLC0415 - see above

    return load_tokenizer(tokenizer_json(store, tokenizer_id))
