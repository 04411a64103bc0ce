"""Pieces of bytes as one stream, of which any number can be taken or looked at."""

from __future__ import annotations

from collections.abc import Iterator


class ByteStream:
    """Reads from an iterator of pieces, and holds no more than was looked at and one piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._start = 0

    def peek(self, num_bytes: int) -> bytes:
        """The next bytes, fewer only at the end; they stay."""
        self._gather(num_bytes)
        return self._buffer[self._start : self._start + num_bytes]

    def read(self, num_bytes: int) -> bytes:
        """The next bytes, fewer only at the end."""
        data = self.peek(num_bytes)
        self._start += len(data)
        return data

    def read_line(self, max_bytes: int) -> bytes:
        """Up to and with the next line feed, cut after ``max_bytes``; empty at the end."""
        searched = 0
        while True:
            available = len(self._buffer) - self._start
            index = self._buffer.find(b"\n", self._start + searched, self._start + max_bytes)
            if index >= 0:
                return self.read(index + 1 - self._start)
            if available >= max_bytes:
                return self.read(max_bytes)
            searched = available
            if len(self.peek(available + 1)) == available:
                return self.read(available)

    def pieces(self, num_bytes: int | None = None) -> Iterator[bytes]:
        """The next ``num_bytes``, or everything, piece by piece; fewer only at the end."""
        while num_bytes is None or num_bytes > 0:
            self._gather(1)
            available = len(self._buffer) - self._start
            if not available:
                return
            size = available if num_bytes is None else min(available, num_bytes)
            if num_bytes is not None:
                num_bytes -= size
            # advanced before it is handed out: who stops in the middle has taken what was yielded
            yield self.read(size)

    def skip(self, num_bytes: int) -> int:
        """Pass over the next bytes; answers how many there were."""
        return sum(len(piece) for piece in self.pieces(num_bytes))

    def _gather(self, num_bytes: int) -> None:
        if len(self._buffer) - self._start >= num_bytes:
            return
        parts = [self._buffer[self._start :]]
        num_gathered = len(parts[0])
        while num_gathered < num_bytes:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            num_gathered += len(piece)
        self._buffer = b"".join(parts)
        self._start = 0
