"""One JSON array of objects, element by element: what many programs write as JSON Lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import orjson

from corpora.readers.lines import LongLine

_BEGINNING = re.compile(rb"\s*+\[\s*+\{")
_REST_OF_STRING = re.compile(rb"[^\"\\]*+(?:\\.[^\"\\]*+)*+", re.DOTALL)
_BETWEEN_STRINGS = re.compile(rb"[\"{}\[\],]")
_OPENING: Final = b"{["
_SEPARATOR: Final = b","
_QUOTE: Final = b'"'
_BACKSLASH: Final = b"\\"


def is_json_array(head: bytes) -> bool:
    """Whether ``head`` begins one array of objects, rather than lines of which the first is one."""
    if not _BEGINNING.match(head):
        return False
    first, _, others = head.lstrip().partition(b"\n")
    if not others.strip():
        return True
    try:
        orjson.loads(first)
    except ValueError:
        return True
    return False


def split_elements(pieces: Iterator[bytes], max_element_bytes: int) -> Iterator[bytes | LongLine]:
    """The elements of the array that ``pieces`` begin, as they are written.

    What follows the array, or is left of one that is never closed, is a last element, and no JSON.
    Of an element that is too long little is ever held.
    """
    splitter = _Splitter(max_element_bytes)
    for piece in pieces:
        yield from splitter.feed(piece)
    yield from splitter.finish()


class _Splitter:
    """Finds the commas and brackets that stand in no string and in no element."""

    def __init__(self, max_element_bytes: int) -> None:
        self._max_bytes = max_element_bytes
        self._element = bytearray()
        self._num_skipped = 0
        self._depth = 0
        """Brackets that are open, the array's own included."""
        self._is_in_string = False
        self._is_escaped = False
        self._is_closed = False

    def feed(self, piece: bytes) -> Iterator[bytes | LongLine]:
        start = position = 0
        while not self._is_closed:
            end = self._next_border(piece, position)
            if end is None:
                break
            self._keep(piece[start : end - 1])
            yield from self._take()
            start = position = end
        self._keep(piece[start:])

    def finish(self) -> Iterator[bytes | LongLine]:
        if not self._is_closed and not self._element.strip():
            yield b"["
        yield from self._take()

    def _next_border(self, piece: bytes, position: int) -> int | None:
        """Where the next element begins, or what follows the array; None if that comes later."""
        while position < len(piece):
            if self._is_in_string:
                position = self._leave_string(piece, position)
            elif found := _BETWEEN_STRINGS.search(piece, position):
                position = found.end()
                if self._is_border(found.group()):
                    return position
            else:
                return None
        return None

    def _leave_string(self, piece: bytes, position: int) -> int:
        """What follows the string that is being read, or the end of the piece."""
        if self._is_escaped:
            self._is_escaped = False
            return position + 1
        rest = _REST_OF_STRING.match(piece, position)
        end = rest.end() if rest else position
        self._is_escaped = piece.startswith(_BACKSLASH, end)
        self._is_in_string = not piece.startswith(_QUOTE, end)
        return end + 1

    def _is_border(self, sign: bytes) -> bool:
        """Take a sign between strings into account."""
        if sign == _QUOTE:
            self._is_in_string = True
        elif sign in _OPENING:
            self._depth += 1
            return self._depth == 1
        elif sign != _SEPARATOR:
            self._depth -= 1
            self._is_closed = self._depth < 1
            return self._is_closed
        return sign == _SEPARATOR and self._depth == 1

    def _keep(self, data: bytes) -> None:
        kept = data[: self._max_bytes + 1 - len(self._element)]
        self._element += kept
        self._num_skipped += len(data) - len(kept)

    def _take(self) -> Iterator[bytes | LongLine]:
        """The element that has ended, if anything was written."""
        element = bytes(self._element).strip()
        num_bytes = len(self._element) + self._num_skipped
        self._element.clear()
        self._num_skipped = 0
        if num_bytes > self._max_bytes:
            yield LongLine(element[: self._max_bytes], num_bytes)
        elif element:
            yield element
