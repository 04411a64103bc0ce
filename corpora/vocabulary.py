"""What the ids of a tokenizer mean: the special ones, and the bytes and words of the others.

Every tokenizer of ours begins with the same 64 special tokens, so that any objective, a later stage
and post-training fit without resizing an embedding.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

NUM_SPECIAL_TOKENS: Final = 64
NUM_SENTINELS: Final = 32
_NAMED = (
    "<|endoftext|>", "<|pad|>", "[MASK]", "[CLS]", "[SEP]",
    "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|im_start|>", "<|im_end|>",
)  # fmt: skip
_NUM_RESERVED = NUM_SPECIAL_TOKENS - NUM_SENTINELS - len(_NAMED)

SPECIAL_TOKENS: Final[tuple[str, ...]] = (
    *_NAMED,
    *(f"<|extra_{k}|>" for k in range(NUM_SENTINELS)),
    *(f"<|reserved_{k}|>" for k in range(_NUM_RESERVED)),
)
"""The first 64 tokens of every tokenizer, in the order of their ids."""

END_OF_TEXT: Final = 0
PAD: Final = 1
MASK: Final = 2
CLS: Final = 3
SEP: Final = 4
FIM_PREFIX: Final = 5
FIM_MIDDLE: Final = 6
FIM_SUFFIX: Final = 7
FIM_PAD: Final = 8
FIRST_SENTINEL: Final = len(_NAMED)

_MASK_OF_LEAD_BITS = 0xC0
_CONTINUATION = 0x80
_LAST_LEAD = 0xF4
"""No character of Unicode begins with a greater byte, though every vocabulary of bytes has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Tables over the ids of one tokenizer; specials have no bytes and belong to no word.

    A word is a maximal run of letters (with their combining marks) or digits. Token ``i`` of a text
    continues the word of token ``i - 1`` iff ``ends_with_word_byte[i - 1]`` and
    ``begins_with_word_byte[i]``. Where a tokenizer splits a character, its bytes stay together: the
    part before the split ends, and the part after it begins, with a word byte.
    """

    num_bytes: NDArray[np.uint16]
    """UTF-8 bytes that each token stands for, uint16 [size]."""
    is_special: NDArray[np.bool_]
    """Control tokens, which no objective removes, bool [size]."""
    begins_with_word_byte: NDArray[np.bool_]
    ends_with_word_byte: NDArray[np.bool_]
    holds_word_byte: NDArray[np.bool_]
    """Whether there is a letter or digit anywhere in the token, bool [size]."""
    continues_character: NDArray[np.bool_]
    """Whether the token begins within a character, bool [size]."""
    _bytes: tuple[bytes, ...]

    @classmethod
    def from_tokenizer(cls, tokenizer: Tokenizer) -> Self:
        """Read the tables off a tokenizer that writes bytes as letters, as all of ours do."""
        description = json.loads(tokenizer.to_str())
        special_ids = set(range(NUM_SPECIAL_TOKENS)) | {
            token["id"] for token in description["added_tokens"] if token["special"]
        }
        added = {token["id"]: token["content"] for token in description["added_tokens"]}
        alphabet = byte_alphabet()
        pieces = {id_: piece for piece, id_ in tokenizer.get_vocab(with_added_tokens=True).items()}
        tokens = tuple(
            b"" if id_ in special_ids
            else added[id_].encode() if id_ in added
            else bytes(alphabet[letter] for letter in pieces.get(id_, ""))
            for id_ in range(max(pieces) + 1)
        )  # fmt: skip
        return cls(
            num_bytes=np.array([len(token) for token in tokens], dtype=np.uint16),
            is_special=np.array([id_ in special_ids for id_ in range(len(tokens))]),
            begins_with_word_byte=np.array([_begins_with_word_byte(token) for token in tokens]),
            ends_with_word_byte=np.array([_ends_with_word_byte(token) for token in tokens]),
            holds_word_byte=np.array([_holds_word_byte(token) for token in tokens]),
            continues_character=np.array(
                [bool(token) and _is_continuation(token[0]) for token in tokens]
            ),
            _bytes=tokens,
        )

    @property
    def size(self) -> int:
        """The number of ids: rows of the embedding."""
        return len(self._bytes)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of a text that this token stands for; none for a special one."""
        return self._bytes[token_id]


@cache
def byte_alphabet() -> dict[str, int]:
    """The printable character that byte-level BPE writes for each byte (GPT-2's table).

    Bytes that are printable in Latin-1 stand for themselves, the others for U+0100 and on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + place): byte for place, byte in enumerate(others)
    }


def _begins_with_word_byte(token: bytes) -> bool:
    if not token:
        return False
    return _is_continuation(token[0]) or _is_word(token[: _character_length(token[0])])


def _ends_with_word_byte(token: bytes) -> bool:
    if not token:
        return False
    start = len(token) - 1
    while start >= 0 and _is_continuation(token[start]):
        start -= 1
    if start < 0 or len(token) - start < _character_length(token[start]):
        return True  # a part of a character: what is missing must not be torn off
    return _is_word(token[start:])


def _holds_word_byte(token: bytes) -> bool:
    starts = [place for place, byte in enumerate(token) if not _is_continuation(byte)]
    return any(_is_word(token[start : start + _character_length(token[start])]) for start in starts)


def _is_continuation(byte: int) -> bool:
    """Whether a byte of UTF-8 goes on with a character that an earlier one began."""
    return byte & _MASK_OF_LEAD_BITS == _CONTINUATION


def _character_length(lead: int) -> int:
    """The bytes of a UTF-8 character by its first (RFC 3629)."""
    return 1 + (lead >= 0xC2) + (lead >= 0xE0) + (lead >= 0xF0)  # noqa: PLR2004 - RFC 3629


@cache
def _is_word(character: bytes) -> bool:
    """Whether a character, or most of those that begin with these bytes, is a letter or digit."""
    if character[0] > _LAST_LEAD:
        return False
    length = _character_length(character[0])
    missing = length - len(character)
    first = character + b"\x80" * missing
    last = character + b"\xbf" * missing
    # the least and greatest code points whose UTF-8 begins so, overlong and surrogate ones included
    low, high = _code_point(first), _code_point(last)
    # no loop of our own: the single bytes of a vocabulary begin more than a million characters
    characters = map(chr, range(low, min(high, 0x10FFFF) + 1))
    votes = Counter(map(unicodedata.category, characters))
    del votes["Cn"]
    for_word = sum(count for category, count in votes.items() if category[0] in "LNM")
    return 2 * for_word > votes.total()


def _code_point(character: bytes) -> int:
    """The number that UTF-8 of one to four bytes stands for, without any check."""
    if len(character) == 1:
        return character[0]
    value = character[0] & (0x7F >> len(character))
    for byte in character[1:]:
        value = value << 6 | byte & 0x3F
    return value
