"""Tokenizers of users' text: how they split it into words, and text to ids and back.

All of ours split text as Qwen2 does, exactly, so that every tool that knows that model reads ours,
and write bytes as letters. No normaliser and no unknown token: any text comes back as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from tokenizers import Regex, Tokenizer, pre_tokenizers

from core.errors import InvalidRequest

SPLIT_PATTERN: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # English contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with the space before it
    r"|\p{N}"  # digits one by one
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"  # white space
)
MAX_WORD_CHARACTERS: Final = 64
"""Longer words are cut for WordPiece, whose search for the longest token takes quadratic time."""
SHORT_PATTERN: Final = rf"[\s\S]{{1,{MAX_WORD_CHARACTERS}}}"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text's token ids, and what each of them says."""

    ids: list[int]
    pieces: list[str]


def load_tokenizer(tokenizer_json: bytes) -> Tokenizer:
    """A tokenizer for text of users: what looks like a special token is just characters.

    Otherwise a document that mentions `<|endoftext|>` would end there.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode_text(tokenizer: Tokenizer, text: str) -> Encoding:
    """Token ids of ``text``, none of them added, and the text that each stands for.

    A token that is only a part of a character shows as U+FFFD.
    """
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return Encoding(ids=ids, pieces=[decode_tokens(tokenizer, [id_]) for id_ in ids])


def decode_tokens(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text of ``ids``, special tokens by their names.

    Raises:
        InvalidRequest: the tokenizer has no such id.
    """
    vocab_size = tokenizer.get_vocab_size(with_added_tokens=True)
    for index, id_ in enumerate(ids):
        if not 0 <= id_ < vocab_size:
            raise InvalidRequest(
                f"token {id_} does not exist: the vocabulary has {vocab_size}",
                code="unknown_token",
                param=f"tokens.{index}",
            )
    return tokenizer.decode(ids, skip_special_tokens=False)


def word_splitter() -> pre_tokenizers.PreTokenizer:
    """Cuts text into the words within which tokens are merged, as Qwen2 does; bytes as letters."""
    return pre_tokenizers.Sequence([_splitter(), _bytes_as_letters()])


def short_word_splitter() -> pre_tokenizers.PreTokenizer:
    """The same, with words of more than :data:`MAX_WORD_CHARACTERS` cut."""
    parts = pre_tokenizers.Split(Regex(SHORT_PATTERN), behavior="isolated", invert=False)
    return pre_tokenizers.Sequence([_splitter(), parts, _bytes_as_letters()])


def split_words(text: str) -> list[str]:
    """The words of a short text; put together they are the text."""
    return [word for word, _ in _splitter().pre_tokenize_str(text)]


@cache
def _splitter() -> pre_tokenizers.Split:
    return pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated", invert=False)


def _bytes_as_letters() -> pre_tokenizers.ByteLevel:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
