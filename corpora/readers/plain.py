"""Plain text and Markdown: a whole file is one record, unless it is huge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from corpora.readers.decoding import Utf8Decoder
from corpora.readers.record import MAX_RECORD_BYTES, WHOLE_FILE, Notice, Record

BORDERS: Final = ("\n\n", "\r\n\r\n", "\n", "\r", " ")
"""Where a text may be cut, best first: after paragraphs, lines, words."""


def read_plain(
    pieces: Iterator[bytes], *, notice: Notice, max_record_bytes: int = MAX_RECORD_BYTES
) -> Iterator[Record]:
    """Yield the file's text; one beyond ``max_record_bytes`` is cut at a paragraph's end.

    Args:
        pieces: UTF-8, as far as it is.
        notice: told of undecodable bytes.
        max_record_bytes: about how many bytes a record has at most.
    """
    for number, (text, is_last) in enumerate(_texts(pieces, notice, max_record_bytes), start=1):
        if is_last and number == 1:
            yield Record(WHOLE_FILE, text)
        else:
            yield Record(f"part {number}", text, is_part=True)


def _texts(
    pieces: Iterator[bytes], notice: Notice, max_record_bytes: int
) -> Iterator[tuple[str, bool]]:
    """The texts between the cuts; the flag is set for the last."""
    decoder = Utf8Decoder(notice)
    gathered: list[str] = []
    num_bytes = 0
    for piece in pieces:
        gathered.append(decoder.decode(piece))
        num_bytes += len(piece)
        while num_bytes > max_record_bytes:
            text = "".join(gathered)
            cut = paragraph_border(text, len(text) * max_record_bytes // num_bytes)
            yield text[:cut], False
            gathered = [text[cut:]]
            num_bytes = len(gathered[0].encode())
    gathered.append(decoder.decode(b"", final=True))
    if text := "".join(gathered):
        yield text, True


def paragraph_border(text: str, limit: int) -> int:
    """Where to cut ``text`` at or before ``limit``: after a paragraph, else a line, else a word.

    Borders in the first half of the limit do not count: the piece before the cut would be small.
    """
    for border in BORDERS:
        index = text.rfind(border, limit // 2, limit)
        if index >= 0:
            return index + len(border)
    return max(1, limit)
