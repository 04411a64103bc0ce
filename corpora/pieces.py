"""A long text in pieces whose tokens, put together, are those of the whole.

A library that encodes text keeps a hundred bytes and more for every token, and one text is work for
one core: a book of megabytes has to be cut. The tokenizer's split pattern never joins characters
across the places where it is cut here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

PIECE_CHARACTERS: Final = 2**17

_LOOK_AHEAD = 64
_AFTER_LINES = re.compile(r"[\r\n](?=[^\S\r\n]*\S)")
_BEFORE_WORDS = re.compile(r"(?<=[^\W_])(?= [^\W_])")


def pieces(text: str, *, num_characters: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Cut ``text`` into pieces of about ``num_characters``; a short one stays whole.

    A piece ends after the last newline before the next visible character, else between a word and
    the space before the next. Only a text that has neither for so long is cut anywhere.
    """
    start = 0
    while len(text) - start > num_characters:
        cut = _next_border(text, start + num_characters // 2, start + num_characters)
        yield text[start:cut]
        start = cut
    if start < len(text):
        yield text[start:]


def _next_border(text: str, earliest: int, latest: int) -> int:
    for border in (_AFTER_LINES, _BEFORE_WORDS):
        # what follows a border may lie beyond the piece
        found = border.search(text, earliest, latest + _LOOK_AHEAD)
        if found and found.end() <= latest:
            return found.end()
    return latest
