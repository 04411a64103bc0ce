"""A stream as lines of bounded length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line beyond the limit: how it begins, and how long it is."""

    beginning: bytes
    num_bytes: int


def split_lines(pieces: Iterator[bytes], max_line_bytes: int) -> Iterator[bytes | LongLine]:
    """Split at line feeds, which are left out; of a line that is too long little is ever held."""
    tail = bytearray()  # grows in place: pieces can be much shorter than lines
    num_skipped = 0
    for piece in pieces:
        lines = piece.split(b"\n")
        last = lines.pop()
        if lines:
            yield _line(bytes(tail) + lines[0], num_skipped, max_line_bytes)
            tail.clear()
            num_skipped = 0
            if len(piece) <= max_line_bytes:
                yield from lines[1:]
            else:
                for line in lines[1:]:
                    yield _line(line, 0, max_line_bytes)
        kept = last[: max_line_bytes + 1 - len(tail)]
        num_skipped += len(last) - len(kept)
        tail += kept
    if tail:
        yield _line(bytes(tail), num_skipped, max_line_bytes)


def _line(line: bytes, num_skipped: int, max_line_bytes: int) -> bytes | LongLine:
    """A line, of which bytes beyond the limit may be gone already."""
    num_bytes = len(line) + num_skipped
    return line if num_bytes <= max_line_bytes else LongLine(line[:max_line_bytes], num_bytes)
