"""tar archives as a stream of members (POSIX.1-2001 pax, and the older forms of ustar and GNU).

Nothing is ever written to disk: a member's name is a label. Headers that name or describe a member
are themselves bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from corpora.readers.members import Member, refusal_of_name
from corpora.readers.origin import Origin
from corpora.readers.record import DropReason
from corpora.readers.stream import ByteStream

BLOCK_BYTES: Final = 512
_MAX_HEADER_BYTES: Final = 2**20
"""Of an extended header: it may hold names and times, no more."""
_CHECKSUM = slice(148, 156)
_REGULAR = b"0\x007"
_DIRECTORY = b"5"
_LINKS = b"12"
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK, _GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"
_EXTENDED = (_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK)


def is_tar(head: bytes) -> bool:
    """Whether ``head`` begins with a member's header: its checksum is right."""
    block = head[:BLOCK_BYTES]
    return len(block) == BLOCK_BYTES and any(block) and _has_right_checksum(block)


def tar_members(pieces: Iterator[bytes], *, origin: Origin) -> Iterator[Member]:
    """The members of an archive; each must be read before the next is asked for.

    Directories are no members; what is no regular file is one with a reason to refuse it.

    Raises:
        BadData: the archive is cut off or its headers are damaged.
    """
    stream = ByteStream(pieces)
    extended = _Extended()
    while any(block := _block(stream, origin)):
        if not _has_right_checksum(block):
            raise origin.damaged("a header in the tar archive is damaged")
        header = _Header.parse(block, origin)
        if header.kind in _EXTENDED:
            extended.add(header.kind, _body(stream, header, origin))
            continue
        num_bytes = header.num_bytes if extended.num_bytes is None else extended.num_bytes
        content = _content(stream, num_bytes, origin)
        name = extended.name or header.name
        is_directory = header.kind == _DIRECTORY or (header.kind == b"\0" and name.endswith("/"))
        if not is_directory:
            refusal = _refusal(name, header.kind, extended)
            if refusal:
                _exhaust(content)  # its size is believed once the bytes were there
            yield Member(name, num_bytes, _opener(content), refusal)
        _exhaust(content)
        _skip_padding(stream, num_bytes, origin)
        extended = _Extended()
    # so that a damaged compression around it is noticed, and all bytes are counted
    _exhaust(stream.pieces())


def _block(stream: ByteStream, origin: Origin) -> bytes:
    """The next block; after the last member there is at least one of zeros."""
    block = stream.read(BLOCK_BYTES)
    if len(block) < BLOCK_BYTES:
        raise origin.damaged("the tar archive is cut off")
    return block


@dataclass(frozen=True, slots=True)
class _Header:
    name: str
    kind: bytes
    num_bytes: int

    @classmethod
    def parse(cls, block: bytes, origin: Origin) -> _Header:
        name = _text(block[:100])
        is_posix = block[257:263] == b"ustar\0"
        prefix = _text(block[345:500]) if is_posix else ""
        return cls(
            name=f"{prefix}/{name}" if prefix else name,
            kind=block[156:157],
            num_bytes=_size(block[124:136], origin),
        )


class _Extended:
    """What the extended headers before a member say about it."""

    def __init__(self) -> None:
        self.name = ""
        self.num_bytes: int | None = None
        self.is_sparse = False

    def add(self, kind: bytes, body: bytes) -> None:
        if kind == _GNU_NAME:
            self.name = _text(body)
        elif kind == _PAX:
            for key, value in _pax_pairs(body):
                if key == b"path":
                    self.name = _text(value)
                elif key == b"size" and value.isdigit():
                    self.num_bytes = int(value[:20])
                elif key.startswith(b"GNU.sparse"):
                    self.is_sparse = True


def _pax_pairs(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each ``length key=value`` and a line feed, all counted by length; damage ends them."""
    start = 0
    while start < len(body):
        length, _, _ = body[start : start + 20].partition(b" ")
        if not length.isdigit() or not len(length) < int(length) <= len(body) - start:
            return
        end = start + int(length)
        key, _, value = body[start + len(length) + 1 : end - 1].partition(b"=")
        yield key, value
        start = end


def _has_right_checksum(block: bytes) -> bool:
    """The sum of a header's bytes, its own field taken as blanks; old ones added signed bytes."""
    field = block[_CHECKSUM].strip(b" \0")
    if not field or field.translate(None, b"01234567"):
        return False
    blanked = block[:148] + b" " * 8 + block[156:]
    num_high = sum(byte > 127 for byte in blanked)  # noqa: PLR2004  a signed byte's largest
    return int(field, 8) in {sum(blanked), sum(blanked) - 256 * num_high}


def _size(field: bytes, origin: Origin) -> int:
    """Octal digits, or base 256 where the first bit is set (GNU)."""
    if field[0] == 0x80:  # noqa: PLR2004  the mark of base 256
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.translate(None, b"01234567"):
        raise origin.damaged("a size in the tar archive is no number")
    return int(digits or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _refusal(name: str, kind: bytes, extended: _Extended) -> DropReason | None:
    if kind in _LINKS:
        return "link"
    if kind == _GNU_SPARSE or extended.is_sparse or kind not in _REGULAR:
        return "special_file"
    return refusal_of_name(name)


def _opener(content: Iterator[bytes]) -> Callable[[Origin], Iterator[bytes]]:
    return lambda _: content


def _content(stream: ByteStream, num_bytes: int, origin: Origin) -> Iterator[bytes]:
    num_left = num_bytes
    for piece in stream.pieces(num_bytes):
        num_left -= len(piece)
        yield piece
    if num_left:
        raise origin.damaged("the tar archive is cut off")


def _exhaust(pieces: Iterator[bytes]) -> None:
    for _ in pieces:
        pass


def _body(stream: ByteStream, header: _Header, origin: Origin) -> bytes:
    if header.num_bytes > _MAX_HEADER_BYTES:
        raise origin.damaged("an extended header in the tar archive is too long")
    body = b"".join(_content(stream, header.num_bytes, origin))
    _skip_padding(stream, header.num_bytes, origin)
    return body


def _skip_padding(stream: ByteStream, num_bytes: int, origin: Origin) -> None:
    padding = -num_bytes % BLOCK_BYTES
    if stream.skip(padding) < padding:
        raise origin.damaged("the tar archive is cut off")
