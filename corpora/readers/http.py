"""The HTTP responses that WARC files hold (RFC 9112): status, headers, and the body decoded.

Archives keep what servers sent, and sometimes what the crawler had decoded already while the
headers still tell of its encodings. So a body that is not encoded as they say is taken as it is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import brotli

from core.errors import BadData
from corpora.readers.compression import Compression, compression_of, decompress
from corpora.readers.origin import Origin

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CHUNK = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[^\r\n]{0,256}\r?\n")
_MAGIC_CODINGS: Final[dict[str, Compression]] = {
    "gzip": "gzip",
    "x-gzip": "gzip",
    "zstd": "zstd",
}
_BROTLI_STEP: Final = 2**16
_MAX_CODINGS: Final = 2


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response; ``media_type`` is lower case without parameters, empty if it is not said."""

    status: int
    media_type: str
    charset: str | None
    body: bytes


class BadHttp(ValueError):
    """Bytes that are no HTTP response."""


def parse_response(message: bytes, *, origin: Origin, max_bytes: int) -> HttpResponse:
    """The response that ``message`` is.

    Args:
        message: all of it.
        origin: counts what is decompressed.
        max_bytes: a body that decodes to more is no page.

    Raises:
        BadHttp: it is none, or its body cannot be decoded.
        BadData: what it lies in is a bomb.
    """
    end = _HEAD_END.search(message)
    status = _STATUS.match(message)
    if end is None or status is None:
        raise BadHttp("no status line and headers")
    headers = parse_headers(message[status.end() : end.start()])
    body = message[end.end() :]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _without_chunks(body)
    codings = headers.get("content-encoding", "").lower().replace(" ", "").split(",")
    for coding in reversed(codings[:_MAX_CODINGS]):
        body = _decoded(body, coding, origin, max_bytes)
    content_type = headers.get("content-type", "")
    charset = _CHARSET.search(content_type)
    return HttpResponse(
        status=int(status[1]),
        media_type=content_type.partition(";")[0].strip().lower(),
        charset=charset[1] if charset else None,
        body=body,
    )


def parse_headers(lines: bytes) -> dict[str, str]:
    """Header fields by lower-case name, the first of each; continued lines are joined."""
    headers: dict[str, str] = {}
    for line in re.sub(rb"\r?\n[ \t]+", b" ", lines).split(b"\n")[1:]:
        name, _, value = line.decode(errors="replace").partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers


def _without_chunks(body: bytes) -> bytes:
    """The chunks' data; the body itself where it does not begin with one."""
    parts: list[bytes] = []
    position = 0
    while found := _CHUNK.match(body, position):
        length = int(found[1], 16)
        if length == 0:
            break
        parts.append(body[found.end() : found.end() + length])
        position = found.end() + length
    return b"".join(parts) if parts else body


def _decoded(body: bytes, coding: str, origin: Origin, max_bytes: int) -> bytes:
    if compression := _MAGIC_CODINGS.get(coding):
        if compression_of(body[:16]) != compression:
            return body
        inner = Origin(origin.name, num_bytes=len(body), limits=origin.limits, parent=origin)
        return _gather(decompress(iter([body]), compression, origin=inner), inner, max_bytes)
    if coding == "deflate":
        return _inflated(body, max_bytes)
    return _from_brotli(body, max_bytes) if coding == "br" else body


def _gather(pieces: Iterator[bytes], origin: Origin, max_bytes: int) -> bytes:
    gathered = bytearray()
    try:
        for piece in pieces:
            gathered += piece
            if len(gathered) > max_bytes:
                raise BadHttp(f"more than {max_bytes} bytes")
    except BadData as error:
        if error is not origin.failure:
            raise
        raise BadHttp(str(error)) from error
    return bytes(gathered)


def _inflated(body: bytes, max_bytes: int) -> bytes:
    """Deflate in the format of zlib or, as some servers have it, bare."""
    for window_bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        decompressor = zlib.decompressobj(window_bits)
        try:
            data = decompressor.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(data) > max_bytes:
            raise BadHttp(f"more than {max_bytes} bytes")
        if decompressor.eof:
            return data
    return body


def _from_brotli(body: bytes, max_bytes: int) -> bytes:
    decompressor = brotli.Decompressor()
    gathered = bytearray()
    data = body
    try:
        while True:
            piece = decompressor.process(data, output_buffer_limit=_BROTLI_STEP)
            data = b""
            gathered += piece
            if len(gathered) > max_bytes:
                raise BadHttp(f"more than {max_bytes} bytes")
            if decompressor.is_finished():
                return bytes(gathered)
            if not piece and decompressor.can_accept_more_data():
                return body
    except brotli.error:
        return body
