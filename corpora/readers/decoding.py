"""Bytes to text: byte order marks, UTF-16, and what is no text at all."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

from corpora.readers.record import NUL, REPLACEMENT, BadBytes, Notice

SNIFFED_BYTES: Final = 2**16
"""How much of a file decides whether it is text."""
MAX_SHARE_OF_NON_TEXT: Final = 0.1
"""A text with more control and undecodable characters than this is none."""

_REPORTED_PLACES = 5
_CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))
"""Not those that lay out text, nor the escape of coloured terminals."""
_REPLACEMENT_BYTES = REPLACEMENT.encode()
_ONLY_COUNTED = "further places"


def is_text(text: str) -> bool:
    """Whether ``text`` is made of characters rather than of stray bytes."""
    data = text.encode(errors="replace")
    num_controls = len(data) - len(data.translate(None, _CONTROL_BYTES))
    return num_controls + text.count(REPLACEMENT) <= MAX_SHARE_OF_NON_TEXT * len(text)


def as_utf8(pieces: Iterator[bytes], notice: Notice) -> Iterator[bytes]:
    """The same text as UTF-8 without a byte order mark; only UTF-16 has to be rewritten."""
    first = _at_least(pieces, len(codecs.BOM_UTF8))
    if first.startswith(codecs.BOM_UTF8):
        yield first[len(codecs.BOM_UTF8) :]
    elif first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16-le" if first.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
        yield from _from_utf16(first[2:], pieces, encoding, notice)
        return
    elif first:
        yield first
    yield from pieces


def with_head(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first ``SNIFFED_BYTES`` or more, and the whole stream again."""
    head = _at_least(pieces, SNIFFED_BYTES)

    def whole() -> Iterator[bytes]:
        yield head
        yield from pieces

    return head, whole()


def decode_line(line: bytes, place: str, notice: Notice) -> str:
    """A line that is not all UTF-8: what cannot be decoded is replaced and reported."""
    text = line.decode(errors="replace")
    count = text.count(REPLACEMENT) - line.count(_REPLACEMENT_BYTES)
    if count:
        notice(BadBytes(place, "undecodable", count))
    return text


def without_surrogates(text: str, place: str, notice: Notice) -> str:
    """Lone surrogates, which JSON can write and UTF-8 cannot, replaced and reported."""
    try:
        text.encode()
    except UnicodeEncodeError:
        repaired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        notice(BadBytes(place, "lone_surrogate", repaired.count(REPLACEMENT)))
        return repaired
    return text


def without_nul(text: str, place: str, notice: Notice) -> str:
    """NUL, which databases and C programs refuse, removed and reported."""
    if NUL not in text:
        return text
    notice(BadBytes(place, "nul", text.count(NUL)))
    return text.replace(NUL, "")


class Utf8Decoder:
    """Decodes a stream of UTF-8 piece by piece; reports the first bad places exactly."""

    def __init__(self, notice: Notice) -> None:
        self._notice = notice
        self._pending = b""
        self._offset = 0
        self._line = 1
        self._num_places = 0

    def decode(self, data: bytes, *, final: bool = False) -> str:
        """The text of ``data``; a character that the next piece completes waits for it."""
        data = self._pending + data
        text, num_used = self._decode(data, final=final)
        self._pending = data[num_used:]
        self._offset += num_used
        self._line += text.count("\n")
        return text

    def _decode(self, data: bytes, *, final: bool) -> tuple[str, int]:
        parts: list[str] = []
        start = 0
        while True:
            try:
                text, num_used = codecs.utf_8_decode(data[start:], "strict", final)
            except UnicodeDecodeError as error:
                parts.append(data[start : start + error.start].decode())
                self._report(start + error.start, error.end - error.start, parts)
                parts.append(REPLACEMENT)
                start += error.end
                if self._num_places >= _REPORTED_PLACES:
                    text, num_used = self._decode_rest(data[start:], final=final)
                    return "".join((*parts, text)), start + num_used
            else:
                return "".join((*parts, text)), start + num_used

    def _decode_rest(self, data: bytes, *, final: bool) -> tuple[str, int]:
        """What is left of a piece once enough places are known: the rest is only counted."""
        text, num_used = codecs.utf_8_decode(data, "replace", final)
        count = text.count(REPLACEMENT) - data[:num_used].count(_REPLACEMENT_BYTES)
        if count:
            self._notice(BadBytes(_ONLY_COUNTED, "undecodable", count))
        return text, num_used

    def _report(self, index: int, count: int, parts: list[str]) -> None:
        self._num_places += 1
        line = self._line + sum(part.count("\n") for part in parts)
        place = f"line {line}, byte {self._offset + index}"
        self._notice(BadBytes(place, "undecodable", count))


def _at_least(pieces: Iterator[bytes], num_bytes: int) -> bytes:
    """The next pieces joined until they are long enough or the stream ends."""
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= num_bytes:
            break
    return bytes(head)


def _from_utf16(
    first: bytes, pieces: Iterator[bytes], encoding: str, notice: Notice
) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    genuine = REPLACEMENT.encode(encoding)
    offset = len(codecs.BOM_UTF16)
    data: bytes | None = first
    while data is not None:
        text = decoder.decode(data)
        count = text.count(REPLACEMENT)
        if count:
            count = max(0, count - data.count(genuine))
        if count:
            near = offset + len(text[: text.index(REPLACEMENT)].encode(encoding))
            notice(BadBytes(f"near byte {near}", "undecodable", count))
        yield text.encode()
        offset += len(data)
        data = next(pieces, None)
    if last := decoder.decode(b"", final=True):
        notice(BadBytes(f"byte {offset}", "undecodable", 1))
        yield last.encode()
