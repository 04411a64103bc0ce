"""Compressed bytes as a stream of plain ones, recognised by how they begin.

gzip (RFC 1952), zstd (RFC 8878), xz (https://tukaani.org/xz/xz-file-format.txt) and bzip2. What
comes out is bounded in every direction: each piece by a few megabytes, the whole by the limits of
its origin, and the memory that a stream may ask for.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Final, Literal, Protocol

import zstandard

from corpora.readers.origin import DecompressionLimits, Origin
from corpora.readers.record import BadBytes, Notice

Compression = Literal["gzip", "zstd", "xz", "bzip2", "deflate"]
"""``deflate`` is that of zip archives: without header or checksum, and never recognised."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16)))
_XZ_MAGIC = b"\xfd7zXZ\x00"
_BZIP2_MAGIC = b"BZh"
_BZIP2_BLOCKS = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
"""A block, or the end of a stream without any."""

_PIECE_BYTES: Final = 2**20
_ZSTD_FEED_BYTES: Final = 512
"""The densest zstd block is 4 bytes for 128 KiB: this much input is at most 16 MiB of output."""
_GATHERED_BYTES: Final = 2**17
"""Short pieces are joined: whoever reads them pays by the piece."""
_FEED_BYTES: Final = 2**15
"""Each member's end copies what is left of its input: small, or many tiny members take for ever."""
_MAX_TRAILING_BYTES: Final = 2**16
"""Of what is no gzip or bzip2 behind a file that is; more must be data that was damaged."""
_GZIP_WINDOW_BITS: Final = 31
_DEFLATE_WINDOW_BITS: Final = -15
_ERRORS = (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, ValueError)
"""What the libraries raise for damaged data; bzip2's says OSError and ValueError."""


def compression_of(head: bytes) -> Compression | None:
    """How bytes that begin with ``head`` are compressed, if they are."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    if head.startswith(_ZSTD_MAGICS):
        return "zstd"
    if head.startswith(_XZ_MAGIC):
        return "xz"
    if head.startswith(_BZIP2_MAGIC) and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    return None


def decompress(
    pieces: Iterator[bytes],
    compression: Compression,
    *,
    origin: Origin,
    notice: Notice = lambda _: None,
) -> Iterator[bytes]:
    """What ``pieces`` decompress to: every member, frame or stream in them, one after another.

    A little of something else behind gzip and bzip2 is left out, as their own programs do.

    Args:
        pieces: the compressed bytes.
        compression: how they are.
        origin: counts what comes out.
        notice: told of what was left out.

    Raises:
        BadData: they are damaged, cut off or a bomb; the message names ``origin``.
    """
    gathered: list[bytes] = []
    num_gathered = 0
    stream = _STREAMS[compression](origin.limits)
    for piece in _decompressed(pieces, stream, origin):
        origin.gave(len(piece))
        gathered.append(piece)
        num_gathered += len(piece)
        if num_gathered >= _GATHERED_BYTES:
            yield b"".join(gathered)
            gathered.clear()
            num_gathered = 0
    if gathered:
        yield b"".join(gathered)
    if stream.num_trailing:
        notice(BadBytes("after the compressed data", "trailing", stream.num_trailing))


def _decompressed(pieces: Iterator[bytes], stream: _Stream, origin: Origin) -> Iterator[bytes]:
    is_empty = True
    for data in pieces:
        is_empty = False
        fed = stream.feed(data)
        while True:
            try:
                piece = next(fed, None)
            except _ERRORS as error:
                raise origin.damaged(str(error) or "its compressed data is damaged") from error
            if piece is None:
                break
            yield piece
    if is_empty or not stream.is_between_members:
        raise origin.damaged("it ends in the middle of its compressed data")
    if stream.num_trailing > _MAX_TRAILING_BYTES:
        raise origin.damaged(f"{stream.num_trailing} bytes behind its compressed data are none")


class _Stream(Protocol):
    @property
    def is_between_members(self) -> bool:
        """Whether the input may end here."""
        ...

    @property
    def num_trailing(self) -> int:
        """Bytes that were passed over, since they are no more of the same."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress ``data``, in bounded pieces."""
        ...


class _Member(Protocol):
    """What zlib, lzma and bz2 have in common: one member, decompressed piece by piece."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _ZlibMember:
    """A zlib decompressor that keeps its unread input itself, as those of lzma and bz2 do."""

    def __init__(self, window_bits: int) -> None:
        self._decompressor = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def unused_data(self) -> bytes:
        return self._decompressor.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._decompressor.decompress(self._decompressor.unconsumed_tail + data, max_length)


class _Members:
    """Members one after another, and the zeros that tapes and xz files are padded with."""

    def __init__(self, make: Callable[[], _Member], *, magic: bytes = b"") -> None:
        """What does not begin with ``magic`` is not taken for a further member."""
        self.num_trailing = 0
        self._make = make
        self._magic = magic
        self._member: _Member | None = None
        self._had_a_member = False
        self._undecided = b""

    @property
    def is_between_members(self) -> bool:
        return self._member is None and not self._undecided

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _FEED_BYTES):
            rest = self._undecided + data[start : start + _FEED_BYTES]
            self._undecided = b""
            while rest:
                if self._member is None:
                    rest = self._next_member(rest)
                    if self._member is None:
                        break
                rest = yield from self._feed_member(self._member, rest)

    def _next_member(self, data: bytes) -> bytes:
        """Find where a member begins; answers what there is of it, and no member if none does."""
        if self._had_a_member:
            data = data if self.num_trailing else data.lstrip(b"\0")
            beginning = data[: len(self._magic)]
            if self.num_trailing or not self._magic.startswith(beginning):
                self.num_trailing += len(data)
                return b""
            if len(beginning) < len(self._magic):
                self._undecided = data
                return b""
        if data:
            self._member = self._make()
        return data

    def _feed_member(self, member: _Member, data: bytes) -> Generator[bytes, None, bytes]:
        """Everything that ``data`` gives of this member; answers what lies behind it."""
        while True:
            piece = member.decompress(data, _PIECE_BYTES)
            if piece:
                yield piece
            if member.eof:
                self._member = None
                self._had_a_member = True
                return member.unused_data
            if len(piece) < _PIECE_BYTES:
                return b""
            data = b""


class _ZstdStream:
    """One or more zstd frames."""

    def __init__(self, limits: DecompressionLimits) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=limits.max_window_bytes)
        self._frame = self._decompressor.decompressobj()
        self.is_between_members = True
        self.num_trailing = 0

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


def _xz(limits: DecompressionLimits) -> _Member:
    # a decompressor holds its window and little more
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=limits.max_window_bytes + 2**20)


_STREAMS: dict[Compression, Callable[[DecompressionLimits], _Stream]] = {
    "gzip": lambda _: _Members(lambda: _ZlibMember(_GZIP_WINDOW_BITS), magic=_GZIP_MAGIC),
    "deflate": lambda _: _Members(lambda: _ZlibMember(_DEFLATE_WINDOW_BITS)),
    "bzip2": lambda _: _Members(bz2.BZ2Decompressor, magic=_BZIP2_MAGIC),
    "xz": lambda limits: _Members(lambda: _xz(limits)),
    "zstd": _ZstdStream,
}
