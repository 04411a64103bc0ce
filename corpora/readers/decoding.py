"""Bytes to text: byte order marks, UTF-16 and UTF-32, and what is no text at all."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Final

from corpora.readers.record import NUL, REPLACEMENT, BadBytes, Notice

SNIFFED_BYTES: Final = 2**16
"""How much of a file decides whether it is text."""
MAX_SHARE_OF_NON_TEXT: Final = 0.1
"""A text with more control and undecodable characters than this is none."""
MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks; that of UTF-32 begins with that of UTF-16."""

_MAX_SHARE_OF_CONTROLS: Final = 0.01
"""In text of any encoding; what is compressed or compiled has ten times as many."""
_LEAST_SHARE_OF_NULS: Final = 0.9
"""Of every second byte of Western text in UTF-16."""
_REPORTED_PLACES = 5
_CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))
"""Not those that lay out text, nor the escape of coloured terminals."""
_REPLACEMENT_BYTES = REPLACEMENT.encode()
_ONLY_COUNTED = "further places"


def is_text(text: str) -> bool:
    """Whether ``text`` is made of characters rather than of stray bytes."""
    num_controls = _num_controls(text.encode(errors="replace"))
    return num_controls + text.count(REPLACEMENT) <= MAX_SHARE_OF_NON_TEXT * len(text)


def may_be_another_encoding(sample: bytes) -> bool:
    """Whether bytes that are no text of UTF-8 look like one of an encoding that is not said.

    That is of Latin-1, Windows-1251, Shift JIS and their like, or of UTF-16 without its mark.
    """
    if _has_few_controls(sample):
        return True
    halves = sample[::2], sample[1::2]
    return any(
        high.count(0) >= _LEAST_SHARE_OF_NULS * len(high) and _has_few_controls(low)
        for high, low in (halves, halves[::-1])
    )


def as_utf8(pieces: Iterator[bytes], notice: Notice) -> Iterator[bytes]:
    """The same text as UTF-8 without a byte order mark; what has another mark is rewritten."""
    first = _at_least(pieces, max(len(mark) for mark, _ in MARKS))
    mark, encoding = next(
        (marked for marked in MARKS if first.startswith(marked[0])), (b"", "utf-8")
    )
    first = first[len(mark) :]
    if encoding != "utf-8":
        yield from _rewritten(first, pieces, encoding, notice, offset=len(mark))
        return
    if first:
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


def _num_controls(data: bytes) -> int:
    return len(data) - len(data.translate(None, _CONTROL_BYTES))


def _has_few_controls(data: bytes) -> bool:
    return _num_controls(data) <= _MAX_SHARE_OF_CONTROLS * len(data)


def _at_least(pieces: Iterator[bytes], num_bytes: int) -> bytes:
    """The next pieces joined until they are long enough or the stream ends."""
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= num_bytes:
            break
    return bytes(head)


def _rewritten(
    first: bytes, pieces: Iterator[bytes], encoding: str, notice: Notice, *, offset: int
) -> Iterator[bytes]:
    """What is in ``encoding`` as UTF-8; ``offset`` is where ``first`` begins."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    genuine = REPLACEMENT.encode(encoding)
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
