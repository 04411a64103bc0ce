"""A text as quality rules look at it: words, lines and paragraphs, each found once and when asked.

A word is what stands between white space, as in the Gopher paper. Blank lines are no lines: the
published rules were made for text that had none.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Final, NamedTuple

from corpora.ngrams import Ngrams

_BLANK_LINES: Final = re.compile(r"\n(?:[^\S\n]*+\n)++")
_ASCII: Final = frozenset(range(0x80))
_SPACE: Final = frozenset(map(ord, filter(str.isspace, map(chr, _ASCII))))
_LETTERS: Final = frozenset(string.ascii_letters.encode())
_NEITHER_LETTERS_NOR_SPACE: Final = bytes(_ASCII - _LETTERS - _SPACE)
_PLAIN_SPACE: Final = bytes(0x20 if code in _SPACE else code for code in range(0x100))
"""For ``bytes.split``, which knows less white space than ``str.split``."""
_LETTERS_AND_DIGITS: Final = bytes(_LETTERS | frozenset(string.digits.encode()))


class Repeats(NamedTuple):
    """Parts of a text that stood there before."""

    num_parts: int
    num_characters: int


class TextView:
    """What rules need to know of one text, which is not blank."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> list[str]:
        """What stands between white space."""
        return self.text.split()

    @cached_property
    def num_words(self) -> int:
        """How many words there are."""
        return len(self.words)

    @cached_property
    def num_word_characters(self) -> int:
        """The characters of all words: all of the text but its white space."""
        return sum(map(len, self.words))

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Each different word, numbered from zero on in the order in which they come."""
        different = dict.fromkeys(self.words)
        return dict(zip(different, range(len(different)), strict=True))

    @cached_property
    def num_alphabetic_words(self) -> int:
        """Words with at least one letter of any script."""
        if self.text.isascii():
            # what has no letter vanishes, and what is left are the words that have one
            return len(self._data.translate(_PLAIN_SPACE, _NEITHER_LETTERS_NOR_SPACE).split())
        return sum(word[0].isalpha() or any(map(str.isalpha, word)) for word in self.words)

    @cached_property
    def ngrams(self) -> Ngrams:
        """The runs of words."""
        return Ngrams(self.words, number_of=self.number_of)

    @cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank, without the white space around them."""
        return [line for line in map(str.strip, self.text.split("\n")) if line]

    @cached_property
    def num_line_characters(self) -> int:
        """The characters of all lines."""
        return sum(map(len, self.lines))

    @cached_property
    def repeated_lines(self) -> Repeats:
        """Lines that stood there before."""
        return _repeats(self.lines)

    @cached_property
    def paragraphs(self) -> list[str]:
        """What stands between blank lines, without the white space around it."""
        return [part for part in map(str.strip, _BLANK_LINES.split(self.text)) if part]

    @cached_property
    def repeated_paragraphs(self) -> Repeats:
        """Paragraphs that stood there before."""
        # a paragraph is made of lines
        return _repeats(self.paragraphs) if self.repeated_lines.num_parts else Repeats(0, 0)

    @cached_property
    def line_lengths(self) -> list[int]:
        """The characters of every line, blank ones and white space too."""
        return [len(line) for line in self.text.removesuffix("\n").split("\n")]

    @cached_property
    def num_alphanumeric(self) -> int:
        """Letters and digits of any script."""
        if self.text.isascii():
            return len(self.text) - len(self._data.translate(None, _LETTERS_AND_DIGITS))
        return sum(map(str.isalnum, self.text))

    @cached_property
    def lowered(self) -> str:
        """The text in small letters."""
        return self.text.lower()

    @property
    def _data(self) -> bytes:
        return self.text.encode()


def _repeats(parts: Sequence[str]) -> Repeats:
    if len(set(parts)) == len(parts):
        return Repeats(0, 0)
    again = Counter(parts)
    again.subtract(set(parts))
    return Repeats(again.total(), sum(count * len(part) for part, count in again.items()))
