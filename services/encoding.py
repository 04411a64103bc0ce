"""Text to tokens and back, by a tokenizer in the store."""

from __future__ import annotations

from functools import lru_cache

from tokenizers import Tokenizer

from corpora.tokenizer import decode_tokens, encode_text, load_tokenizer
from storage import keys
from storage.base import Store


def tokenizer_json(store: Store, tokenizer_id: str) -> bytes:
    """The bytes of a tokenizer's ``tokenizer.json``."""
    return b"".join(store.open(keys.tokenizer_file(tokenizer_id)))


def encode(store: Store, tokenizer_id: str, text: str) -> tuple[list[int], list[str]]:
    """The token ids of a text, and what each of them says."""
    encoded = encode_text(_load(store, tokenizer_id), text)
    return encoded.ids, encoded.pieces


def decode(store: Store, tokenizer_id: str, tokens: list[int]) -> str:
    """The text of token ids.

    Raises:
        InvalidRequest: the tokenizer has no such id.
    """
    return decode_tokens(_load(store, tokenizer_id), tokens)


def _load(store: Store, tokenizer_id: str) -> Tokenizer:
    return _parse(tokenizer_json(store, tokenizer_id))


@lru_cache(maxsize=8)
def _parse(tokenizer_file: bytes) -> Tokenizer:
    """Parsing takes longer than reading, so the last few stay parsed."""
    return load_tokenizer(tokenizer_file)
