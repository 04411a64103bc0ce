"""Unicode's composed form of a text, NFC (Unicode annex 15), in time that grows with its length."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

_LONG_RUN: Final = 31
"""Marks on one letter: 30 are the most of Stream-Safe Text (Unicode annex 15, 13)."""
_PLANES_WITH_MARKS: Final = range(0x300, 0x20000)
"""Beyond are ideographs, and nothing that is a mark."""


def composed(text: str) -> str:
    """``text`` in NFC.

    `unicodedata` sorts the marks after a letter by insertion, so that a megabyte of them in the
    wrong order would take minutes and ten of them hours. Long runs are sorted before, into an order
    of the same meaning: that changes nothing in what comes out.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _with_long_runs_in_order(text))


def _with_long_runs_in_order(text: str) -> str:
    marks = _marks()
    parts: list[str] = []
    done = 0
    # no long run lies between two of these places
    for index in range(0, len(text), _LONG_RUN):
        if index < done or text[index] not in marks:
            continue
        start, end = index, index + 1
        while start > done and text[start - 1] in marks:
            start -= 1
        while end < len(text) and text[end] in marks:
            end += 1
        if end - start >= _LONG_RUN:
            parts += [text[done:start], _in_canonical_order(text[start:end])]
            done = end
    return "".join([*parts, text[done:]])


def _in_canonical_order(run: str) -> str:
    return "".join(sorted("".join(map(_decomposed, run)), key=unicodedata.combining))


@cache
def _decomposed(mark: str) -> str:
    return unicodedata.normalize("NFD", mark)


@cache
def _marks() -> frozenset[str]:
    """By what they decompose to: some count as letters until then, as U+0F73 does."""
    return frozenset(
        character
        for character in map(chr, _PLANES_WITH_MARKS)
        if unicodedata.combining(unicodedata.normalize("NFD", character)[0])
    )
