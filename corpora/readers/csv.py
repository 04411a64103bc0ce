"""Comma-separated values with a header (RFC 4180), read by fields of any length.

The standard library's reader has one limit of field size for the whole process, and stops at what
it cannot read. Here a row that is too long is dropped while it passes, and the next is read. Like
that reader, this one takes a quote for a quote only where a field begins.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.errors import BadData
from corpora.readers.decoding import decode_line
from corpora.readers.lines import LongLine, split_lines
from corpora.readers.origin import Origin
from corpora.readers.record import MAX_LINE_BYTES, Dropped, DropReason, Notice, Record, excerpt

_DELIMITERS: Final = (b",", b";", b"\t")
"""The first of those that are as frequent in the header wins."""
_QUOTE = b'"'
_BEGINNING_BYTES = 1024
_MAX_COLUMNS: Final = 2**14
_SHOWN_COLUMNS = 20


@dataclass(frozen=True, slots=True)
class _Shape:
    """What to look for in rows: of a row with millions of fields only those asked for are kept."""

    delimiter: bytes
    kept: range
    num_columns: int


@dataclass(slots=True)
class _Row:
    """A row while it is read, and afterwards."""

    fields: list[bytes]
    """Those that its shape keeps."""
    beginning: bytes = b""
    num_bytes: int = 0
    num_fields: int = 0
    has_too_many: bool = False
    """Whether anything stands beyond the last column."""
    is_too_long: bool = False
    is_closed: bool = True
    is_blank: bool = False


def read_csv(
    pieces: Iterator[bytes],
    *,
    text_field: str,
    notice: Notice,
    origin: Origin,
    max_row_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Record | Dropped]:
    """Yield each row's text, or why it has none; blank rows are no records.

    Args:
        pieces: UTF-8, as far as it is.
        text_field: the column that holds the text, as the header calls it.
        notice: told of undecodable bytes.
        origin: what is read, for errors.
        max_row_bytes: a longer row is dropped without ever being held in memory.

    Raises:
        BadData: the header names no such column.
    """
    lines = split_lines(_with_line_feeds(pieces), max_row_bytes)
    header = _header(lines, max_row_bytes)
    if header is None:
        return
    columns = [field.decode(errors="replace").strip() for field in header.fields]
    if text_field not in columns:
        raise no_such_column(text_field, columns, origin)
    index = columns.index(text_field)
    shape = _Shape(_delimiter(header.beginning), range(index, index + 1), len(columns))
    rows = (row for row in _rows(lines, shape, max_row_bytes) if not row.is_blank)
    for number, row in enumerate(rows, start=1):
        place = f"row {number}"
        if problem := _problem(row):
            yield Dropped(place, problem, excerpt(row.beginning), row.num_bytes)
        else:
            yield Record(place, _decode(row.fields[0], place, notice))


def no_such_column(text_field: str, columns: list[str], origin: Origin) -> BadData:
    """The error of a table without the column that should hold the text."""
    shown = ", ".join(repr(excerpt(column)) for column in columns[:_SHOWN_COLUMNS])
    more = f" and {len(columns) - _SHOWN_COLUMNS} more" if len(columns) > _SHOWN_COLUMNS else ""
    return origin.error(
        f"has no column {text_field!r}: its columns are {shown}{more}. Name one as text_field.",
        code="no_text_field",
        param="text_field",
    )


def _problem(row: _Row) -> DropReason | None:
    if row.is_too_long:
        return "row_too_long"
    if not row.is_closed:
        return "unclosed_quote"
    if row.has_too_many:
        return "too_many_fields"  # an unquoted delimiter: the text would be a part of itself
    return None if row.fields else "no_text_field"


def _decode(field: bytes, place: str, notice: Notice) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        return decode_line(field, place, notice)


def _with_line_feeds(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Line feeds for the carriage returns that alone end the lines of some old files."""
    first = next(pieces, b"")
    is_old = b"\r" in first and b"\n" not in first
    yield first.replace(b"\r", b"\n") if is_old else first
    for piece in pieces:
        yield piece.replace(b"\r", b"\n") if is_old else piece


def _header(lines: Iterator[bytes | LongLine], max_row_bytes: int) -> _Row | None:
    """The first row that is not blank; its first line decides what stands between fields."""
    for line in lines:
        if isinstance(line, LongLine) or line.strip():
            beginning = line.beginning if isinstance(line, LongLine) else line
            shape = _Shape(_delimiter(beginning), range(_MAX_COLUMNS), _MAX_COLUMNS)
            return next(_rows(itertools.chain([line], lines), shape, max_row_bytes))
    return None


def _delimiter(header: bytes) -> bytes:
    return max(_DELIMITERS, key=header[:_BEGINNING_BYTES].count)


def _rows(lines: Iterator[bytes | LongLine], shape: _Shape, max_row_bytes: int) -> Iterator[_Row]:
    for line in lines:
        parser = _RowParser(shape, max_row_bytes)
        parser.add(line)
        while parser.is_in_quotes:
            following = next(lines, None)
            if following is None:
                parser.row.is_closed = False
                break
            parser.add(following)
        yield parser.row


class _RowParser:
    """Takes a row's lines one by one; what is too long is passed over, quotes still observed."""

    def __init__(self, shape: _Shape, max_row_bytes: int) -> None:
        self.row = _Row([])
        self.is_in_quotes = False
        self._shape = shape
        self._max_row_bytes = max_row_bytes
        self._quoted = bytearray()

    def add(self, line: bytes | LongLine) -> None:
        """Read on with the next line."""
        row = self.row
        is_first = not row.num_bytes
        if isinstance(line, LongLine):
            row.beginning = row.beginning or line.beginning[:_BEGINNING_BYTES]
            row.num_bytes += line.num_bytes
            row.is_too_long = True
            self.is_in_quotes = False  # where its quotes are is not known any more
            return
        if is_first:
            row.beginning = line[:_BEGINNING_BYTES]
            row.is_blank = not line.strip()
        row.num_bytes += len(line) + (not is_first)
        row.is_too_long = row.is_too_long or row.num_bytes > self._max_row_bytes
        self._parse(line)

    def _parse(self, line: bytes) -> None:
        position = 0
        if self.is_in_quotes:
            self._keep(b"\n")
            position = self._quoted_field(line, 0)
        while not self.is_in_quotes and position <= len(line):
            if line.startswith(_QUOTE, position):
                self.is_in_quotes = True
                position = self._quoted_field(line, position + 1)
            else:
                position = self._rest_of_field(line, position)

    def _quoted_field(self, line: bytes, position: int) -> int:
        """Read to the closing quote and on to the field's end; answers where the next begins."""
        while (quote := line.find(_QUOTE, position)) >= 0:
            if line.startswith(_QUOTE, quote + 1):
                self._keep(line[position : quote + 1])
                position = quote + 2
            else:
                self._keep(line[position:quote])
                self.is_in_quotes = False
                return self._rest_of_field(line, quote + 1)
        self._keep(line[position:])
        return len(line) + 1

    def _rest_of_field(self, line: bytes, position: int) -> int:
        end = line.find(self._shape.delimiter, position)
        is_last = end < 0
        rest = line[position:] if is_last else line[position:end]
        if is_last and rest.endswith(b"\r"):
            rest = rest[:-1]
        row = self.row
        self._keep(rest)
        if row.num_fields in self._shape.kept:
            row.fields.append(bytes(self._quoted))
            self._quoted.clear()
        row.num_fields += 1
        return len(line) + 1 if is_last else end + 1

    def _keep(self, data: bytes) -> None:
        """Add to the field that is being read, if anybody wants it."""
        if self.row.num_fields >= self._shape.num_columns:
            self.row.has_too_many = self.row.has_too_many or bool(data)
        elif self.row.num_fields in self._shape.kept and not self.row.is_too_long:
            self._quoted += data
