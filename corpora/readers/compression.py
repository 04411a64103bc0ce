"""A file's bytes as a stream, decompressed if its first bytes say so (RFC 1952, RFC 8878).

What comes out is bounded in every direction: each piece by a few megabytes, the whole by an
absolute size and by its ratio to what went in, and a zstd frame by the window it may ask for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import zstandard

from core.errors import BadData

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = tuple(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16))

_READ_BYTES = 2**20
_PIECE_BYTES = 2**20
_ZSTD_FEED_BYTES = 512
"""The densest zstd block is 4 bytes for 128 KiB: this much input is at most 16 MiB of output."""
_GZIP_WINDOW_BITS = 31


@dataclass(frozen=True, slots=True)
class DecompressionLimits:
    """Beyond these a compressed file counts as a bomb. Text seldom shrinks by more than 20."""

    max_bytes: int = 2**38
    max_ratio: int = 250
    free_bytes: int = 2**24
    """The ratio is not looked at before this much came out."""
    max_window_bytes: int = 2**27


DEFAULT_LIMITS = DecompressionLimits()


def read_bytes(
    path: Path,
    *,
    filename: str,
    limits: DecompressionLimits = DEFAULT_LIMITS,
    consumed: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """The content of a bare, gzip or zstd file, in pieces; ``consumed`` hears of bytes of ``path``.

    Raises:
        BadData: the compressed stream is damaged, cut off or a bomb; the message names the file.
    """
    raw = _raw_pieces(path, consumed)
    first = next(raw, b"")
    if first.startswith(GZIP_MAGIC):
        yield from _Inflation(filename, limits).run(first, raw, _GzipStream())
    elif first.startswith((ZSTD_MAGIC, *_ZSTD_SKIPPABLE)):
        yield from _Inflation(filename, limits).run(first, raw, _ZstdStream(limits))
    else:
        if first:
            yield first
        yield from raw


def _raw_pieces(path: Path, consumed: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_READ_BYTES):
            consumed(len(piece))
            yield piece


class _Stream(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress ``data``, in bounded pieces."""
        ...

    @property
    def is_between_members(self) -> bool:
        """Whether the input may end here."""
        ...


class _GzipStream:
    """One or more gzip members, and the zeros that tapes are padded with."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self.is_between_members = True
        self._had_a_member = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self.is_between_members:
                if self._had_a_member:
                    data = data.lstrip(b"\0")
                    if not data:
                        return
                self._member = zlib.decompressobj(_GZIP_WINDOW_BITS)
                self.is_between_members = False
            piece = self._member.decompress(data, _PIECE_BYTES)
            if piece:
                yield piece
            if self._member.eof:
                self.is_between_members = True
                self._had_a_member = True
                data = self._member.unused_data
            else:
                data = self._member.unconsumed_tail


class _ZstdStream:
    """One or more zstd frames."""

    def __init__(self, limits: DecompressionLimits) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=limits.max_window_bytes)
        self._frame = self._decompressor.decompressobj()
        self.is_between_members = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_FEED_BYTES):
            rest = data[start : start + _ZSTD_FEED_BYTES]
            while rest:
                self.is_between_members = False
                piece = self._frame.decompress(rest)
                if piece:
                    yield piece
                rest = b""
                if self._frame.eof:
                    rest = self._frame.unused_data
                    self._frame = self._decompressor.decompressobj()
                    self.is_between_members = True


class _Inflation:
    """Drives a stream and watches its limits."""

    def __init__(self, filename: str, limits: DecompressionLimits) -> None:
        self._filename = filename
        self._limits = limits
        self._num_in = 0
        self._num_out = 0

    def run(self, first: bytes, raw: Iterator[bytes], stream: _Stream) -> Iterator[bytes]:
        data: bytes | None = first
        while data is not None:
            self._num_in += len(data)
            try:
                for piece in stream.feed(data):
                    self._count(len(piece))
                    yield piece
            except (zlib.error, zstandard.ZstdError) as error:
                raise self._damaged(str(error)) from error
            data = next(raw, None)
        if not stream.is_between_members:
            raise self._damaged("it ends in the middle of the compressed data")

    def _count(self, num_bytes: int) -> None:
        self._num_out += num_bytes
        limits = self._limits
        if self._num_out > limits.max_bytes:
            raise self._bomb(f"more than {limits.max_bytes} bytes")
        if self._num_out > limits.free_bytes and self._num_out > limits.max_ratio * self._num_in:
            raise self._bomb(f"more than {limits.max_ratio} times its own size")

    def _damaged(self, why: str) -> BadData:
        return BadData(
            f"{self._filename} cannot be decompressed: {why}", code="file_damaged", param="files"
        )

    def _bomb(self, size: str) -> BadData:
        return BadData(
            f"{self._filename} decompresses to {size}, which is not allowed",
            code="decompression_bomb",
            param="files",
        )
