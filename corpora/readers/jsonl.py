"""JSON Lines (https://jsonlines.org): one object a line, its text in one field.

A file that is one array of such objects is read as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from corpora.readers.decoding import decode_line, with_head, without_surrogates
from corpora.readers.json_array import is_json_array, split_elements
from corpora.readers.lines import LongLine, split_lines
from corpora.readers.record import MAX_LINE_BYTES, Dropped, DropReason, Notice, Record, excerpt


class _UnreadableLineError(ValueError):
    """A line that is not JSON."""


def read_jsonl(
    pieces: Iterator[bytes],
    *,
    text_field: str,
    notice: Notice,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Record | Dropped]:
    """Yield each object's text, or why it has none; blank lines are no records.

    Args:
        pieces: UTF-8, as far as it is.
        text_field: the object's field that holds the text.
        notice: told of undecodable bytes and lone surrogates.
        max_line_bytes: a longer object is dropped without ever being held in memory.
    """
    head, pieces = with_head(pieces)
    is_array = is_json_array(head)
    split, unit = (split_elements, "element") if is_array else (split_lines, "line")
    for number, line in enumerate(split(pieces, max_line_bytes), start=1):
        place = f"{unit} {number}"
        if isinstance(line, LongLine):
            yield _dropped(place, "line_too_long", line)
        elif line and not line.isspace():
            yield _read_line(line, place, text_field, notice)


def _read_line(line: bytes, place: str, text_field: str, notice: Notice) -> Record | Dropped:
    try:
        value = orjson.loads(line)
    except ValueError:
        try:
            value = _parse_leniently(line, place, notice)
        except _UnreadableLineError:
            return _dropped(place, "bad_json", line)
    if not isinstance(value, dict) or text_field not in value:
        return _dropped(place, "no_text_field", line)
    text = value[text_field]
    if not isinstance(text, str):
        return _dropped(place, "text_is_no_string", line)
    return Record(place, without_surrogates(text, place, notice))


def _parse_leniently(line: bytes, place: str, notice: Notice) -> Any:  # noqa: ANN401  JSON is anything
    """Parse what orjson refuses and people write: bad bytes, lone surrogates, NaN."""
    noticed: list[Any] = []
    try:
        value = json.loads(decode_line(line, place, noticed.append))
    except (ValueError, RecursionError) as error:
        raise _UnreadableLineError from error
    for bad_bytes in noticed:
        notice(bad_bytes)
    return value


def _dropped(place: str, reason: DropReason, line: bytes | LongLine) -> Dropped:
    beginning, num_bytes = (
        (line.beginning, line.num_bytes) if isinstance(line, LongLine) else (line, len(line))
    )
    return Dropped(place, reason, excerpt(beginning), num_bytes)
