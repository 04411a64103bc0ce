"""Where sentences end, as far as punctuation shows it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

TERMINAL_PUNCTUATION: Final = frozenset(".!?\"'" + "”’»" + "。！？」』" + "؟۔।։")  # noqa: RUF001 - the signs themselves
"""C4's and FineWeb's five, curly quotation marks, and the same signs of other scripts."""

_SIGNS: Final = ".!?؟۔।։"  # noqa: RUF001 - the signs themselves
_END = re.compile(
    rf"(?<![{_SIGNS}])[{_SIGNS}]++[\"'”’»)\]]*+(?=\s++[^a-z]|\s*+$)"  # noqa: RUF001 - likewise
    "|[。！？]++[」』]*+"  # noqa: RUF001 - likewise
)
"""Punctuation before white space and no small letter, which would mean an abbreviation.

Nothing is tried twice: a line may be a million full stops.
"""


def has_sentences(lines: Sequence[str], *, at_least: int) -> bool:
    """Whether there are so many sentences; each line that is not blank has one or more."""
    return len(lines) >= at_least or sum(map(num_sentences, lines)) >= at_least


def num_sentences(line: str) -> int:
    """Sentences that end in a line, and the one that does not."""
    count = end = 0
    for found in _END.finditer(line):
        count += 1
        end = found.end()
    return count + bool(line[end:].strip())
