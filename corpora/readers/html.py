"""Web pages: one record each, its main text."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final

from corpora.readers.decoding import MARKS, SNIFFED_BYTES, Utf8Decoder, is_text
from corpora.readers.extractor import HtmlExtractor
from corpora.readers.record import (
    MAX_HTML_BYTES,
    REPLACEMENT,
    WHOLE_FILE,
    BadBytes,
    Dropped,
    Notice,
    Record,
    excerpt,
)

# never taken back: the ways to read a thousand comments as fewer are beyond counting
_BEFORE = rb"(?>\s|<!--.*?-->|<\?xml.*?\?>)*+"
_BEGINNING = re.compile(
    _BEFORE + rb"<(?:!doctype\s+html|html|head|body)[\s>/]", re.IGNORECASE | re.DOTALL
)
_SNIFFED = 4096

_META_BYTES: Final = 1024
"""How far browsers look for a declared encoding (HTML, 13.2.3.2)."""
_META_CHARSET = re.compile(rb"<meta[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)

_SUPERSETS: Final = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
"""What is meant by a declared encoding (https://encoding.spec.whatwg.org/#names-and-labels)."""
_ALLOWED: Final = frozenset(
    {
        "utf-8", "big5hkscs", "cp866", "cp874", "cp932", "cp949", "euc_jp", "gb18030",
        "iso2022_jp", "koi8-r", "koi8-u", "mac-roman", "mac-cyrillic",
        *(f"cp{number}" for number in range(1250, 1259)),
        *(f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
    }
)  # fmt: skip
"""Python has codecs beyond these that are none of text, and some that unpack bombs."""


def is_html(head: bytes) -> bool:
    """Whether ``head`` begins a web page: a doctype or an outermost element, comments aside."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            head = head[len(mark) : _SNIFFED].decode(encoding, "replace").encode()
    return _BEGINNING.match(head[:_SNIFFED]) is not None


def read_html(
    pieces: Iterator[bytes],
    *,
    notice: Notice,
    extractor: HtmlExtractor,
    max_html_bytes: int = MAX_HTML_BYTES,
) -> Iterator[Record | Dropped]:
    """Yield the page's main text, or why it has none; nothing for an empty file."""
    gathered = bytearray()
    num_bytes = 0
    for piece in pieces:
        num_bytes += len(piece)
        gathered += piece[: max(0, max_html_bytes - len(gathered))]
    page = bytes(gathered)
    if num_bytes > max_html_bytes:
        yield Dropped(WHOLE_FILE, "html_too_long", excerpt(page), num_bytes)
    elif page:
        yield read_page(page, place=WHOLE_FILE, notice=notice, extractor=extractor)


def read_page(
    page: bytes,
    *,
    place: str,
    notice: Notice,
    extractor: HtmlExtractor,
    declared: str | None = None,
) -> Record | Dropped:
    """The main text of one page; ``declared`` is the encoding that its HTTP header names."""
    noticed: list[BadBytes] = []
    html = decode_html(page, place=place, notice=noticed.append, declared=declared)
    shown = html[:SNIFFED_BYTES]
    if not is_text(shown):
        return Dropped(place, "not_text", excerpt(shown), len(page))
    for bad_bytes in noticed:
        notice(bad_bytes)
    text = extractor.main_text(html)
    if text is None:
        return Dropped(place, "extraction_failed", excerpt(shown), len(page))
    return Record(place, text)


def decode_html(page: bytes, *, place: str, notice: Notice, declared: str | None = None) -> str:
    """A page as text: by its mark, else as HTTP or itself declares, else as UTF-8."""
    for mark, encoding in MARKS:
        if page.startswith(mark):
            return _decode(page[len(mark) :], encoding, place, notice)
    return _decode(page, _codec(declared) or _declared_inside(page) or "utf-8", place, notice)


def _declared_inside(page: bytes) -> str | None:
    head = page[:_META_BYTES]
    found = _META_CHARSET.search(head) or _XML_ENCODING.match(head)
    return _codec(found[1].decode(errors="replace")) if found else None


def _codec(label: str | None) -> str | None:
    """Python's name of a declared encoding; None if it is none that pages may have."""
    if not label:
        return None
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    if name.startswith("utf-16"):
        return "utf-8"  # bytes that a declaration could be read from are none of UTF-16
    name = _SUPERSETS.get(name, name)
    return name if name in _ALLOWED else None


def _decode(page: bytes, encoding: str, place: str, notice: Notice) -> str:
    if encoding == "utf-8":
        decoder = Utf8Decoder(lambda bad: notice(_placed(bad, place)))
        return decoder.decode(page, final=True)
    try:
        return page.decode(encoding)
    except UnicodeDecodeError:
        html = page.decode(encoding, "replace")
    genuine = html.encode(encoding, "ignore").decode(encoding, "ignore").count(REPLACEMENT)
    count = max(1, html.count(REPLACEMENT) - genuine)
    line = html.count("\n", 0, max(0, html.find(REPLACEMENT))) + 1
    notice(_placed(BadBytes(f"line {line}", "undecodable", count), place))
    return html


def _placed(bad: BadBytes, place: str) -> BadBytes:
    return bad if place == WHOLE_FILE else BadBytes(f"{place} {bad.place}", bad.damage, bad.count)
