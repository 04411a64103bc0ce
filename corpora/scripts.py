"""What a text is written in: its characters by script, counted with tables."""

from __future__ import annotations

import string
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

COMMON: Final = "Common"
OTHER: Final = "Other"

_CHARACTERS_AT_ONCE = 2**20
_ASCII_LETTERS = string.ascii_letters.encode()
_NUM_CODE_POINTS = 0x110000
_RANGES: Final[dict[str, Sequence[tuple[int, int]]]] = {
    COMMON: ((0x00, 0x36F), (0x2000, 0x2C5F), (0x2E00, 0x2E7F), (0x2FF0, 0x303F), (0x3190, 0x31EF),
             (0x3200, 0x33FF), (0x4DC0, 0x4DFF), (0xFE00, 0xFE6F), (0xFEFF, 0xFF65),
             (0xFFE0, 0xFFFF), (0x1D000, 0x1D7FF), (0x1F000, 0x1FBFF)),
    "Latin": ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0xD6), (0xD8, 0xF6),
              (0xF8, 0x2B8), (0x1D00, 0x1DBF), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F),
              (0xA720, 0xA7FF), (0xAB30, 0xAB6F), (0xFB00, 0xFB06), (0xFF21, 0xFF3A),
              (0xFF41, 0xFF5A), (0x10780, 0x107BF), (0x1DF00, 0x1DFFF)),
    "Greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "Armenian": ((0x530, 0x58F), (0xFB13, 0xFB17)),
    "Hebrew": ((0x590, 0x5FF), (0xFB1D, 0xFB4F)),
    "Arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0x870, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFE)),
    "Syriac": ((0x700, 0x74F),),
    "Thaana": ((0x780, 0x7BF),),
    "Devanagari": ((0x900, 0x97F), (0xA8E0, 0xA8FF)),
    "Bengali": ((0x980, 0x9FF),),
    "Gurmukhi": ((0xA00, 0xA7F),),
    "Gujarati": ((0xA80, 0xAFF),),
    "Oriya": ((0xB00, 0xB7F),),
    "Tamil": ((0xB80, 0xBFF),),
    "Telugu": ((0xC00, 0xC7F),),
    "Kannada": ((0xC80, 0xCFF),),
    "Malayalam": ((0xD00, 0xD7F),),
    "Sinhala": ((0xD80, 0xDFF),),
    "Thai": ((0xE00, 0xE7F),),
    "Lao": ((0xE80, 0xEFF),),
    "Tibetan": ((0xF00, 0xFFF),),
    "Myanmar": ((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "Georgian": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F)),
    "Hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF)),
    "Ethiopic": ((0x1200, 0x139F), (0x2D80, 0x2DDF), (0xAB00, 0xAB2F), (0x1E7E0, 0x1E7FF)),
    "Cherokee": ((0x13A0, 0x13FF), (0xAB70, 0xABBF)),
    "Khmer": ((0x1780, 0x17FF), (0x19E0, 0x19FF)),
    "Mongolian": ((0x1800, 0x18AF),),
    "Hiragana": ((0x3041, 0x309F), (0x1B000, 0x1B15F)),
    "Katakana": ((0x30A0, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1AFFF),
                 (0x1B160, 0x1B16F)),
    "Bopomofo": ((0x3100, 0x312F), (0x31A0, 0x31BF)),
    "Han": ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
            (0xF900, 0xFAFF), (0x20000, 0x323AF)),
}  # fmt: skip
"""Blocks of the Unicode standard (Blocks.txt), first and last code point; later ones go before."""
_NAMES: Final = (OTHER, *_RANGES)


class ScriptCounter:
    """Counts the characters of many texts; those of ASCII alone, most of them, almost for free."""

    def __init__(self) -> None:
        self.num_characters = 0
        self._counts = np.zeros(len(_NAMES), dtype=np.int64)
        self._waiting: list[str] = []
        self._num_waiting = 0

    def add(self, text: str) -> None:
        """Count a text."""
        self.num_characters += len(text)
        if text.isascii():
            num_letters = len(text) - len(text.encode().translate(None, _ASCII_LETTERS))
            self._counts[_NAMES.index("Latin")] += num_letters
            self._counts[_NAMES.index(COMMON)] += len(text) - num_letters
            return
        self._waiting.append(text)
        self._num_waiting += len(text)
        if self._num_waiting >= _CHARACTERS_AT_ONCE:
            self._count()

    @property
    def scripts(self) -> dict[str, int]:
        """Characters by script, the most frequent first."""
        self._count()
        found = zip(_NAMES, self._counts.tolist(), strict=True)
        return dict(sorted(((name, n) for name, n in found if n), key=lambda item: -item[1]))

    def _count(self) -> None:
        data = "".join(self._waiting).encode("utf-32-le")
        scripts = _script_of()[np.frombuffer(data, dtype="<u4")]
        self._counts += np.bincount(scripts, minlength=len(_NAMES))
        self._waiting.clear()
        self._num_waiting = 0


@cache
def _script_of() -> NDArray[np.uint8]:
    """The index in ``_NAMES`` of the script of each code point."""
    table = np.zeros(_NUM_CODE_POINTS, dtype=np.uint8)
    blocks = chain.from_iterable(
        ((index, first, last) for first, last in _RANGES[name])
        for index, name in enumerate(_NAMES)
        if name != OTHER
    )
    for index, first, last in blocks:
        table[first : last + 1] = index
    return table
