"""WARC files (ISO 28500): the pages of their responses, and the texts of WET's conversions.

A record that is damaged is dropped, and reading goes on where the next one begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from corpora.readers.decoding import decode_line, is_text
from corpora.readers.extractor import HtmlExtractor
from corpora.readers.html import is_html, read_page
from corpora.readers.http import BadHttp, HttpResponse, parse_headers, parse_response
from corpora.readers.origin import Origin
from corpora.readers.record import (
    MAX_HTML_BYTES,
    Dropped,
    DropReason,
    Notice,
    Record,
    excerpt,
)
from corpora.readers.stream import ByteStream

WarcRecordType = Literal["response", "conversion"]

_VERSION = re.compile(rb"WARC/\d\.\d+\r?\n")
_VERSION_BYTES: Final = 16
_MAX_LINE_BYTES: Final = 2**14
_MAX_HEADER_BYTES: Final = 2**16
_MAX_HTTP_BYTES: Final = 2 * MAX_HTML_BYTES
_URI_LENGTH: Final = 200
_OK: Final = 200
_HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
_SHOWN_BYTES: Final = 1024


def is_warc(head: bytes) -> bool:
    """Whether ``head`` begins a WARC or WET file."""
    return _VERSION.match(head[:_VERSION_BYTES]) is not None


def read_warc(
    pieces: Iterator[bytes],
    *,
    types: frozenset[WarcRecordType],
    notice: Notice,
    origin: Origin,
    extractor: HtmlExtractor,
) -> Iterator[Record | Dropped]:
    """Yield the text of each record of ``types``, or why it has none; others are no records.

    Args:
        pieces: decompressed; records that are gzip members of their own are joined already.
        types: ``response`` for pages, ``conversion`` for the texts of WET files.
        notice: told of undecodable bytes.
        origin: what is read; counts what is decompressed.
        extractor: takes the pages' main texts.
    """
    stream = ByteStream(pieces)
    number = 0
    while stream.peek(1):
        num_lost = 0
        beginning = stream.peek(_SHOWN_BYTES)
        while not _VERSION.match(stream.peek(_VERSION_BYTES)):
            line = stream.read_line(_MAX_LINE_BYTES)
            if not line:
                break
            num_lost += len(line) if line.strip() or num_lost else 0
        if num_lost:
            number += 1
            yield _dropped(f"record {number}", "bad_record", beginning, num_lost)
        if not stream.peek(1):
            return
        number += 1
        reading = _Reading(stream, number, notice=notice, origin=origin, extractor=extractor)
        if (record := reading.read(types)) is not None:
            yield record


class _Reading:
    """One record."""

    def __init__(
        self,
        stream: ByteStream,
        number: int,
        *,
        notice: Notice,
        origin: Origin,
        extractor: HtmlExtractor,
    ) -> None:
        self._stream = stream
        self._place = f"record {number}"
        self._notice = notice
        self._origin = origin
        self._extractor = extractor

    def read(self, types: frozenset[WarcRecordType]) -> Record | Dropped | None:
        headers, raw = self._headers()
        length = headers.get("content-length", "")
        uri = headers.get("warc-target-uri", "").strip("<>")
        if uri:
            self._place += f" <{excerpt(uri, length=_URI_LENGTH)}>"
        if not (length.isascii() and length.isdigit() and len(length) < _VERSION_BYTES):
            return _dropped(self._place, "bad_record", raw, len(raw))
        kind = headers.get("warc-type", "").lower()
        if kind not in types:
            self._stream.skip(int(length))
            return None
        return self._content(kind, headers.get("content-type", "").lower(), int(length))

    def _headers(self) -> tuple[dict[str, str], bytes]:
        raw = bytearray()
        while line := self._stream.read_line(_MAX_LINE_BYTES):
            raw += line
            if not line.strip() or len(raw) > _MAX_HEADER_BYTES:
                break
        return parse_headers(bytes(raw)), bytes(raw)

    def _content(self, kind: str, media_type: str, length: int) -> Record | Dropped:
        if length > _MAX_HTTP_BYTES:
            beginning = self._stream.peek(_SHOWN_BYTES)
            num_bytes = self._stream.skip(length)
            return _dropped(self._place, "record_too_long", beginning, num_bytes)
        content = self._stream.read(length)
        if len(content) < length:
            return _dropped(self._place, "bad_record", content, len(content))
        if kind == "conversion":
            return self._text(content)
        return self._response(content, media_type)

    def _text(self, content: bytes) -> Record | Dropped:
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = content.decode(errors="replace")
            if is_text(text):
                text = decode_line(content, self._place, self._notice)
        if not is_text(text):
            return _dropped(self._place, "not_text", content, len(content))
        return Record(self._place, text)

    def _response(self, content: bytes, media_type: str) -> Record | Dropped:
        if not media_type.startswith("application/http"):
            return _dropped(self._place, "not_html", content, len(content))
        try:
            response = parse_response(content, origin=self._origin, max_bytes=MAX_HTML_BYTES)
        except BadHttp:
            return _dropped(self._place, "bad_http", content, len(content))
        if response.status != _OK:
            return _dropped(self._place, "http_status", content, len(content))
        return self._body(response)

    def _body(self, response: HttpResponse) -> Record | Dropped:
        body = response.body
        if response.media_type in _HTML_TYPES or is_html(body):
            if len(body) > MAX_HTML_BYTES:
                return _dropped(self._place, "html_too_long", body, len(body))
            return read_page(
                body,
                place=self._place,
                notice=self._notice,
                extractor=self._extractor,
                declared=response.charset,
            )
        if response.media_type == "text/plain":
            return self._text(body)
        return _dropped(self._place, "not_html", body, len(body))


def _dropped(place: str, reason: DropReason, data: bytes, num_bytes: int) -> Dropped:
    return Dropped(place, reason, excerpt(data), num_bytes)
