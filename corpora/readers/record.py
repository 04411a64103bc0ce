"""What a reader yields, and what it noticed on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

DropReason = Literal[
    "empty", "not_text", "bad_json", "no_text_field", "text_is_no_string", "line_too_long"
]
Damage = Literal["undecodable", "nul", "lone_surrogate"]

MAX_RECORD_BYTES: Final = 2**23
"""A longer txt or md file becomes several records, so that no document is a giant string."""
MAX_LINE_BYTES: Final = 2**24
"""A longer jsonl line is dropped."""

NUL = "\x00"
REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Record:
    """A text before cleaning: a whole file, a piece of a huge one, or a line of jsonl."""

    place: str
    text: str
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Dropped:
    """A record that gives no text: why, and how it begins."""

    place: str
    reason: str
    excerpt: str
    num_bytes: int = 0
    """Bytes of the text, or of the raw line or member, that were lost; 0 if that is not known."""


@dataclass(frozen=True, slots=True)
class BadBytes:
    """Bytes of a file that are no text and were replaced or removed."""

    place: str
    damage: Damage
    count: int


Notice = Callable[[BadBytes], None]
"""Told of each place with bad bytes, while the file is read."""


def excerpt(text: str, *, length: int = 80) -> str:
    """The beginning of ``text`` on one line, safe to store and to show."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * length])
    shown = " ".join(shown.split())
    return shown if len(shown) <= length else shown[: length - 1] + "…"
