"""Bytes out: whole, in ranges, or only their headers (RFC 9110 sections 13 and 14).

Whoever serves bytes says how many there are, what their strong ETag is and how to read a stretch;
the rest, resuming an interrupted download included, is the same for all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final, Self
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from core.errors import PreconditionFailed, RangeNotSatisfiable

_RANGE: Final = re.compile(r"bytes\s*=\s*([0-9]{0,99})\s*-\s*([0-9]{0,99})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that can be served."""

    num_bytes: int
    etag: str
    """Strong, without its quotation marks: a digest of the bytes."""
    read: Callable[[int, int], Iterator[bytes]]
    """The bytes from the first position up to, not including, the second."""
    media_type: str = "application/octet-stream"
    filename: str | None = None

    @classmethod
    def of_bytes(cls, data: bytes, *, media_type: str) -> Self:
        """Bytes that are in memory."""
        return cls(
            num_bytes=len(data),
            etag=hashlib.sha256(data).hexdigest(),
            read=lambda start, end: iter([data[start:end]]),
            media_type=media_type,
        )


def content_response(
    request: Request, content: Content, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with the bytes that the request asks for.

    Args:
        request: May ask for a range of them, or name those that the client has.
        content: All of them.
        headers: What else the answer says, whatever it is.

    Raises:
        PreconditionFailed: the client has a part of other bytes.
        RangeNotSatisfiable: the range lies beyond the end.
        NotFound: the bytes have gone since.
    """
    _refuse_another(request, content)
    headers = {
        **(headers or {}),
        "accept-ranges": "bytes",
        "etag": f'"{content.etag}"',
        "content-type": content.media_type,
        "x-content-type-options": "nosniff",
    }
    if content.filename is not None:
        headers["content-disposition"] = _attachment(content.filename)
    if _is_known(request, content):
        del headers["content-type"]
        return Response(status_code=304, headers=headers)
    start, end, status = 0, content.num_bytes, 200
    wanted = _wanted_range(request, content)
    if wanted is not None:
        start, end = wanted
        status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{content.num_bytes}"
    headers["content-length"] = str(end - start)
    if getattr(request.state, "is_head", False):
        return Response(status_code=status, headers=headers)
    pieces = content.read(start, end)
    first = next(pieces, b"")  # what is missing is noticed while the answer can still say so
    return StreamingResponse(chain([first], pieces), status, headers=headers)


def _wanted_range(request: Request, content: Content) -> tuple[int, int] | None:
    """The stretch asked for; None means everything.

    Several ranges at once, other units and what is no range at all may be ignored, and are.
    """
    written = request.headers.get("range")
    if written is None or not _still_the_same(request, content):
        return None
    match = _RANGE.fullmatch(written)
    if match is None or not (match[1] or match[2]):
        return None
    size = content.num_bytes
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= size or start == end:
        raise RangeNotSatisfiable(
            f"The range {written!r} lies beyond the end; there are {size} bytes.", size=size
        )
    return start, end


def _refuse_another(request: Request, content: Content) -> None:
    """``If-Match`` (RFC 9110, 13.1.1): whoever has a part of other bytes wants none of these."""
    condition = request.headers.get("if-match")
    if condition is None:
        return
    if not {tag.strip() for tag in condition.split(",")} & {"*", f'"{content.etag}"'}:
        raise PreconditionFailed(
            f'If-Match: the bytes are those of "{content.etag}".', param="If-Match"
        )


def _still_the_same(request: Request, content: Content) -> bool:
    """``If-Range``: a range is only useful to who has the rest of the same bytes."""
    condition = request.headers.get("if-range")
    return condition is None or condition.strip() == f'"{content.etag}"'


def _is_known(request: Request, content: Content) -> bool:
    condition = request.headers.get("if-none-match")
    if condition is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in condition.split(",")}
    return bool(tags & {"*", f'"{content.etag}"'})


def _attachment(filename: str) -> str:
    """RFC 6266: a name that every client understands, and the exact one."""
    plain = re.sub(r'[^ !#-\[\]-~]|["\\]', "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
