"""How often each word stands in a text, where words are cut as Qwen2's tokenizer cuts them.

Training needs nothing of a text but this. The split pattern of ``corpora.tokenizer`` runs here on
Python's own regular expressions, several times as fast as the engine of `tokenizers`, with classes
of characters that are asked from that engine: the two know different versions of Unicode.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Final

from corpora.tokenizer import split_words

BLOCK: Final = 256
"""Characters whose classes are asked for at once."""

_LETTER = "L"
_NUMBER = "N"
_SPACE = "S"
_OTHER = "O"
_CLASS_OF_CUT: Final = {(3,): _LETTER, (1, 1, 1): _NUMBER, (1, 2): _SPACE, (2, 1): _OTHER}
"""The class of c by the lengths of the words of "ccb"."""


class WordCutter:
    """Cuts text into words exactly as the pre-tokenizer of a tokenizer does."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._classes: dict[str, list[str]] = {_LETTER: [], _NUMBER: [], _SPACE: []}
        self._cut = self._learn({"\0"})

    def words(self, text: str) -> list[str]:
        """The words of ``text`` in their order; put together they are the text."""
        if not text.isascii():
            unknown = set(text) - self._known
            if unknown:
                self._cut = self._learn(unknown)
        return self._cut(text)

    def _learn(self, characters: set[str]) -> Callable[[str], list[str]]:
        for block in sorted({ord(character) // BLOCK for character in characters}):
            for code in range(block * BLOCK, (block + 1) * BLOCK):
                if not 0xD800 <= code < 0xE000:  # noqa: PLR2004 - surrogates, which are no characters
                    self._file(chr(code))
        letters, numbers, spaces = map(_as_class, self._classes.values())
        return re.compile(
            # U+017F, the long s, is an "s" to whoever ignores case
            r"'(?:[sStTmMdD\u017f]|[rR][eE]|[vV][eE]|[lL][lL])"
            rf"|[^\r\n{letters}{numbers}]?[{letters}]+"
            rf"|[{numbers}]"
            rf"| ?[^{spaces}{letters}{numbers}]+[\r\n]*"
            rf"|[{spaces}]*[\r\n]+|[{spaces}]+(?![^{spaces}])|[{spaces}]+"
        ).findall

    def _file(self, character: str) -> None:
        self._known.add(character)
        of_character = _class_of(character)
        if of_character != _OTHER:
            self._classes[of_character].append(character)


class WordCounter:
    """Counts the words of one text after another."""

    def __init__(self) -> None:
        self._cutter = WordCutter()
        self._counts: Counter[str] = Counter()
        self._num_measured = 0
        self._num_unique_bytes = 0

    def add(self, text: str) -> None:
        """Count the words of ``text``."""
        self._counts.update(self._cutter.words(text))

    def add_part(self, part: str, *, is_followed: bool, times: int) -> None:
        """Count the words of a part of a text that begins and ends with words.

        Args:
            part: the part.
            is_followed: whether something visible follows it, which decides on how white space at
                its end is cut.
            times: how often it stands there.
        """
        # a digit is a word of its own, whatever stands before it
        words = self._cutter.words(f"{part}1")[:-1] if is_followed else self._cutter.words(part)
        for word in words:
            self._counts[word] += times

    def num_unique_bytes(self) -> int:
        """The UTF-8 bytes of all different words together."""
        new = islice(self._counts, self._num_measured, None)
        self._num_unique_bytes += sum(len(word.encode()) for word in new)
        self._num_measured = len(self._counts)
        return self._num_unique_bytes

    def counts(self) -> dict[bytes, int]:
        """How often each word, in UTF-8, has stood there."""
        return {word.encode(): count for word, count in self._counts.items()}


def is_space(character: str) -> bool:
    """Whether the split pattern takes a character for white space."""
    return _class_of(character) == _SPACE


@cache
def _class_of(character: str) -> str:
    if character in "\r\n":  # which end a word of signs
        return _SPACE
    return _CLASS_OF_CUT[tuple(len(word) for word in split_words(f"{character}{character}b"))]


def _as_class(characters: list[str]) -> str:
    """Characters as ranges within the brackets of a regular expression."""
    codes = sorted(map(ord, characters))
    starts = [code for place, code in enumerate(codes) if not place or codes[place - 1] != code - 1]
    ends = [
        code for place, code in enumerate(codes)
        if place + 1 == len(codes) or codes[place + 1] != code + 1
    ]  # fmt: skip
    return "".join(f"\\U{start:08x}-\\U{end:08x}" for start, end in zip(starts, ends, strict=True))
