"""Texts on which engines are likeliest to differ: what each has to encode like `tokenizers`."""

from __future__ import annotations

import random
from collections.abc import Iterator

from corpora.vocabulary import SPECIAL_TOKENS

_SURROGATES = range(0xD800, 0xE000)
_WHITE_SPACE = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
)
_LIKE_WHITE_SPACE = "\u180e\u200b\u200d\u2060\ufeff\x00\x1b\x7f"
_CONTRACTIONS = ("'s", "'S", "'T", "'re", "'rE", "'VE", "'m", "'ll", "'Ll", "'d", "'\u017f", "'x")
_RANGES = (0x7F, 0x2FF, 0x2FFF, 0xFFFF, 0x10FFFF)
_NUM_RANDOM_TEXTS = 400
_CHARACTERS_OF_RANDOM_TEXT = 60
_CHARACTERS_OF_LONG_WORD = 4000


def trial_texts() -> Iterator[str]:
    """The same texts every time, a few hundred kilobytes."""
    generator = random.Random(0)
    yield from ("", " ", "\n", "a")
    yield from _special_tokens()
    yield from _long_words(generator)
    for _ in range(_NUM_RANDOM_TEXTS):
        yield _random_text(generator)
        yield _random_spaces(generator)


def _special_tokens() -> Iterator[str]:
    """Text that names special tokens is still text."""
    yield " ".join(SPECIAL_TOKENS)
    yield "".join(SPECIAL_TOKENS)
    for token in SPECIAL_TOKENS:
        yield f"say {token}, {token[:-1]} or {token}{token}\n{token}"


def _long_words(generator: random.Random) -> Iterator[str]:
    for character in (
        "a",
        "\u00e9",
        "\u6f22",
        "\U0001f40e",
        "7",
        ".",
        " ",
        "\n",
        "\r\n",
        " \n",
        "'s",
    ):
        yield f"x {character * _CHARACTERS_OF_LONG_WORD}y"
    yield "".join(generator.choices("abcdefgh", k=_CHARACTERS_OF_LONG_WORD))
    yield "".join(generator.choices("0aA\u0301\u0663.", k=_CHARACTERS_OF_LONG_WORD))


def _random_text(generator: random.Random) -> str:
    codes = (
        generator.randint(0, generator.choice(_RANGES)) for _ in range(_CHARACTERS_OF_RANDOM_TEXT)
    )
    return "".join(chr(code) for code in codes if code not in _SURROGATES)


def _random_spaces(generator: random.Random) -> str:
    parts = [
        *_WHITE_SPACE,
        *_LIKE_WHITE_SPACE,
        *_CONTRACTIONS,
        "a",
        "B ",
        "1",
        "...",
        "\u00e9\u0301",
    ]
    return "".join(generator.choices(parts, k=_CHARACTERS_OF_RANDOM_TEXT))
