"""zip archives (PKWARE's APPNOTE 6.3), read through their central directory.

The directory is read entry by entry and never held, so that an archive of a billion members needs
no more memory than one of two; its entries may not claim more bytes than the archive has, which is
what archives do whose members overlap. What an entry says about its size is never believed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from stat import S_ISLNK
from typing import BinaryIO, Final

from corpora.readers.compression import Compression, decompress
from corpora.readers.members import Member, refusal_of_name
from corpora.readers.origin import Origin
from corpora.readers.record import DropReason
from corpora.readers.stored import READ_BYTES
from corpora.readers.stream import ByteStream

_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
"""A member, or the end of an archive without any."""

_OFFICE_NAMES = (
    b"[Content_Types].xml",
    b"_rels/.rels",
    b"mimetypeapplication/vnd.oasis.opendocument",
)
"""What stands first in Word's and Excel's documents (ECMA-376-2) and in those of OpenDocument."""

_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_MAGIC = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_MAGIC = b"PK\x06\x07"
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_MAGIC = b"PK\x06\x06"
_EXTRA = struct.Struct("<HH")
_EXTRA_64 = 1
_MAX_COMMENT: Final = 2**16

_ENCRYPTED = 0x2041
"""The member, the way to its key, or the directory."""
_UTF8 = 0x800
_STORED = 0
_COMPRESSIONS: dict[int, Compression] = {8: "deflate", 12: "bzip2", 93: "zstd", 95: "xz"}
_ALL_ONES = 0xFFFFFFFF


def is_zip(head: bytes) -> bool:
    """Whether ``head`` begins a zip archive."""
    return head.startswith(_MAGICS)


def is_office_document(head: bytes) -> bool:
    """Whether the zip archive that ``head`` begins is one document, made of XML."""
    return head.startswith(_LOCAL_MAGIC) and head.startswith(_OFFICE_NAMES, _LOCAL.size)


def zip_members(
    file: BinaryIO, *, num_bytes: int, origin: Origin, read: Callable[[int], None]
) -> Iterator[Member]:
    """The members of an archive in the order of its directory; each is read before the next.

    Args:
        file: open for random access.
        num_bytes: its size.
        origin: of the archive.
        read: told how many of the archive's bytes were read.

    Raises:
        BadData: the archive has no directory, a damaged one, or members that overlap.
    """
    directory = _find_directory(file, num_bytes, origin)
    num_claimed = 0
    for entry in _entries(file, directory, origin):
        if entry.name.endswith("/") and not entry.num_bytes:
            continue
        num_claimed += entry.num_stored
        if num_claimed > num_bytes:
            raise origin.damaged("the members of the zip archive overlap")
        yield Member(
            entry.name, entry.num_stored, _opener(file, entry, directory, read), entry.refusal
        )


@dataclass(frozen=True, slots=True)
class _Directory:
    start: int
    num_bytes: int
    shift: int
    """How much stands before the archive, which its offsets do not count."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    flags: int
    method: int
    checksum: int
    num_stored: int
    num_bytes: int
    offset: int
    mode: int

    @property
    def refusal(self) -> DropReason | None:
        if self.flags & _ENCRYPTED:
            return "encrypted"
        if S_ISLNK(self.mode):
            return "link"
        if self.method != _STORED and self.method not in _COMPRESSIONS:
            return "unsupported_compression"
        return refusal_of_name(self.name)


def _find_directory(file: BinaryIO, num_bytes: int, origin: Origin) -> _Directory:
    """Where the central directory is, from the archive's last bytes (APPNOTE 4.3.14 to 4.3.16)."""
    tail_bytes = min(num_bytes, _END.size + _MAX_COMMENT)
    tail = _at(file, num_bytes - tail_bytes, tail_bytes)
    index = tail.rfind(_END_MAGIC, 0, max(0, len(tail) - _END.size + len(_END_MAGIC)))
    if index < 0:
        raise origin.damaged("the zip archive has no directory at its end; it may be cut off")
    end = num_bytes - tail_bytes + index
    *_, size, offset, _ = _END.unpack_from(tail, index)
    locator = _at(file, end - _LOCATOR.size, _LOCATOR.size) if end >= _LOCATOR.size else b""
    if locator.startswith(_LOCATOR_MAGIC):
        _, _, end_64, _ = _LOCATOR.unpack(locator)
        record = _at(file, end_64, _END_64.size) if end_64 < end else b""
        if len(record) < _END_64.size or not record.startswith(_END_64_MAGIC):
            raise origin.damaged("the zip archive's directory is damaged")
        *_, size, offset = _END_64.unpack(record)
        end = end_64
    if size + offset > end:
        raise origin.damaged("the zip archive's directory is damaged")
    return _Directory(start=end - size, num_bytes=size, shift=end - size - offset)


def _entries(file: BinaryIO, directory: _Directory, origin: Origin) -> Iterator[_Entry]:
    stream = ByteStream(_pieces(file, directory.start, directory.num_bytes))
    while fixed := stream.read(_ENTRY.size):
        if len(fixed) < _ENTRY.size or not fixed.startswith(_ENTRY_MAGIC):
            raise origin.damaged("the zip archive's directory is damaged")
        fields = _ENTRY.unpack(fixed)
        flags, method = fields[3], fields[4]
        checksum, num_stored, num_bytes, name_bytes, extra_bytes, comment_bytes = fields[7:13]
        mode, offset = fields[15] >> 16, fields[16]
        name = stream.read(name_bytes)
        extra = stream.read(extra_bytes)
        stream.skip(comment_bytes)
        num_bytes, num_stored, offset = _with_zip64(extra, (num_bytes, num_stored, offset))
        yield _Entry(
            name=_decode_name(name, flags),
            flags=flags,
            method=method,
            checksum=checksum,
            num_stored=num_stored,
            num_bytes=num_bytes,
            offset=offset,
            mode=mode,
        )


def _with_zip64(extra: bytes, sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Sizes and offset, each that is all ones replaced by the next of the zip64 field."""
    start = 0
    while start + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, start)
        start += _EXTRA.size
        if kind == _EXTRA_64:
            field = extra[start : start + length]
            values = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            first, second, third = (
                next(values, size) if size == _ALL_ONES else size for size in sizes
            )
            return first, second, third
        start += length
    return sizes


def _decode_name(name: bytes, flags: int) -> str:
    """UTF-8 where the flag says so or the bytes do; the original code page otherwise."""
    if flags & _UTF8:
        return name.decode(errors="replace")
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


def _opener(
    file: BinaryIO, entry: _Entry, directory: _Directory, read: Callable[[int], None]
) -> Callable[[Origin], Iterator[bytes]]:
    def content(origin: Origin) -> Iterator[bytes]:
        header_at = entry.offset + directory.shift
        if header_at > directory.start:  # perhaps beyond what any file could be asked for
            raise origin.damaged("it does not lie in the zip archive")
        header = _at(file, header_at, _LOCAL.size)
        if len(header) < _LOCAL.size or not header.startswith(_LOCAL_MAGIC):
            raise origin.damaged("its header in the zip archive is damaged")
        *_, name_bytes, extra_bytes = _LOCAL.unpack(header)
        start = header_at + _LOCAL.size + name_bytes + extra_bytes
        if start + entry.num_stored > directory.start:
            raise origin.damaged("it does not lie in the zip archive")
        stored = _pieces(file, start, entry.num_stored, read)
        if entry.method != _STORED:
            stored = decompress(stored, _COMPRESSIONS[entry.method], origin=origin)
        return _checked(stored, entry, origin)

    return content


def _checked(pieces: Iterator[bytes], entry: _Entry, origin: Origin) -> Iterator[bytes]:
    checksum = 0
    num_bytes = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
        num_bytes += len(piece)
        if num_bytes > entry.num_bytes:
            raise origin.damaged("it is longer than the zip archive says")
        yield piece
    if num_bytes != entry.num_bytes:
        raise origin.damaged("it is shorter than the zip archive says")
    if checksum != entry.checksum:
        raise origin.damaged("its checksum in the zip archive is another")


def _at(file: BinaryIO, offset: int, num_bytes: int) -> bytes:
    return b"".join(_pieces(file, offset, num_bytes))


def _pieces(
    file: BinaryIO, offset: int, num_bytes: int, read: Callable[[int], None] = lambda _: None
) -> Iterator[bytes]:
    """A part of a file; it may be read from elsewhere between two pieces."""
    end = offset + num_bytes
    while offset < end:
        file.seek(offset)
        piece = file.read(min(READ_BYTES, end - offset))
        if not piece:
            return
        offset += len(piece)
        read(len(piece))
        yield piece
