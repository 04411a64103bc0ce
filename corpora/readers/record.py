"""What a reader yields, and what it noticed on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

DropReason = Literal[
    "empty",
    "not_text",
    "not_utf8",
    # jsonl, csv and parquet
    "bad_json",
    "no_text_field",
    "text_is_no_string",
    "line_too_long",
    "row_too_long",
    "too_many_fields",
    "unclosed_quote",
    # html and WARC
    "html_too_long",
    "extraction_failed",
    "bad_record",
    "bad_http",
    "http_status",
    "not_html",
    "record_too_long",
    # members of archives
    "unsafe_name",
    "link",
    "special_file",
    "encrypted",
    "unsupported_compression",
    "file_damaged",
    "decompression_bomb",
    "nested_too_deep",
    "office_document",
]
"""Why a reader gives no text for a record. The cleaner has reasons of its own."""
Damage = Literal["undecodable", "nul", "lone_surrogate", "trailing"]

MAX_RECORD_BYTES: Final = 2**23
"""A longer txt or md file becomes several records, so that no document is a giant string."""
MAX_LINE_BYTES: Final = 2**24
"""A longer line of jsonl, row of csv or text of parquet is dropped."""
MAX_HTML_BYTES: Final = 2**24
"""A longer page is dropped."""
WHOLE_FILE: Final = "whole file"

_EXCERPT_BYTES_PER_CHARACTER: Final = 16
"""More than a character has: white space is folded."""
NUL = "\x00"
REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True)
class Record:
    """A text before cleaning: a whole file or member, a piece of a huge one, a line or a row."""

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
    """Bytes of a file that are no text, or no part of it, and were replaced or removed."""

    place: str
    damage: Damage
    count: int


Notice = Callable[[BadBytes], None]
"""Told of each place with bad bytes, while the file is read."""


def within(member: str | None, place: str) -> str:
    """``place`` as it is called from outside of the archive's member that it lies in."""
    if member is None:
        return place
    return member if place == WHOLE_FILE else f"{member} {place}"


def excerpt(text: str | bytes, *, length: int = 80) -> str:
    """The beginning of a text, or of what should be one, on one line, safe to store and to show."""
    if isinstance(text, bytes):
        text = text[: _EXCERPT_BYTES_PER_CHARACTER * length].decode(errors="replace")
    if len(text) <= length and text.isprintable() and " " not in text:
        return text
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * length])
    shown = " ".join(shown.split())
    return shown if len(shown) <= length else shown[: length - 1] + "…"
