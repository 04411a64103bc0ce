"""Uploads on their way in: pieces of about 1 MiB, handed from the event loop to a thread.

The bytes pass through once and lie nowhere but in the store. Whatever ends an upload early (a cut
connection, a field that is wrong, a digest that differs, a transaction that fails) leaves nothing.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from core.errors import InvalidRequest, MalformedRequest
from services.files import IncomingFile, ReceivedFile, UploadLimits
from storage.base import Store

_PIECE: Final = 1 << 20
_FORM_OVERHEAD: Final = 1 << 21
"""What boundaries, headers and text fields may add to a file's own bytes."""
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_CONTENT_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")


class Upload:
    """The files and fields of one request."""

    def __init__(self, store: Store, limits: UploadLimits) -> None:
        self.fields: dict[str, str] = {}
        self.files: list[ReceivedFile] = []
        self._store = store
        self._limits = limits
        self._open: list[IncomingFile] = []
        self._kept = False

    def open_file(self, field: str, filename: str) -> IncomingFile:
        """Begin a file.

        Raises:
            InvalidRequest: files are sent in the field ``file``.
        """
        if field != "file":
            raise InvalidRequest(
                f"Files are sent in the field 'file', not {field!r}.", param=field or None
            )
        incoming = IncomingFile(self._store, filename=filename, limits=self._limits)
        self._open.append(incoming)
        return incoming

    def finish(self) -> None:
        """Make every file's bytes durable."""
        while self._open:
            self.files.append(self._open[0].finish())
            self._open.pop(0)

    def keep(self) -> None:
        """The files are known to the database now: they stay."""
        self._kept = True

    def discard(self) -> None:
        """Leave nothing behind, unless it is to be kept."""
        for incoming in self._open:
            incoming.abort()
        if not self._kept:
            for file in self.files:
                self._store.delete(file.stored.key)


@asynccontextmanager
async def receive_form(
    request: Request, *, store: Store, limits: UploadLimits, max_text_bytes: int
) -> AsyncIterator[Upload]:
    """Read a multipart form; its files are discarded unless `Upload.keep` was called.

    Raises:
        HTTPException: the body is of another content type.
        MalformedRequest: it is no multipart form.
        TooLarge: a file or the fields exceed their limit.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        raise HTTPException(415, "The body is multipart/form-data with a part named 'file'.")
    announced = _content_length(request)
    if announced is not None:
        limits.check_announced(max(0, announced - _FORM_OVERHEAD), store=store)
    upload = Upload(store, limits)
    from api.multipart import MultipartForm  # noqa: PLC0415 - the parser loads clients of clouds

    form = MultipartForm(
        request.headers.get("content-type", ""),
        open_file=upload.open_file,
        max_text_bytes=max_text_bytes,
    )

    def finish() -> None:
        form.close()
        upload.fields = form.fields
        upload.finish()

    async with _discarding(upload):
        await _pump(request, form.feed)
        await run_in_threadpool(finish)
        yield upload


@asynccontextmanager
async def receive_body(
    request: Request, *, filename: str, store: Store, limits: UploadLimits
) -> AsyncIterator[Upload]:
    """Read a raw body as one file; it is discarded unless `Upload.keep` was called.

    Raises:
        TooLarge: the body exceeds the limit.
    """
    limits.check_announced(_content_length(request), store=store)
    upload = Upload(store, limits)
    async with _discarding(upload):
        incoming = await run_in_threadpool(upload.open_file, "file", filename)
        await _pump(request, incoming.write)
        await run_in_threadpool(upload.finish)
        yield upload


@asynccontextmanager
async def _discarding(upload: Upload) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await run_in_threadpool(upload.discard)


def announced_sha256(request: Request) -> str | None:
    """The digest that the client sent along: ``Content-Digest`` (RFC 9530) or ``x-sha256``.

    Returns:
        64 hexadecimal digits; None if there is none (other algorithms are not checked).

    Raises:
        MalformedRequest: what is there is no sha256.
    """
    plain = request.headers.get("x-sha256")
    if plain is not None:
        if not _SHA256.fullmatch(plain):
            raise MalformedRequest("x-sha256 has 64 hexadecimal digits.", param="x-sha256")
        return plain.lower()
    match = _CONTENT_DIGEST.search(request.headers.get("content-digest", ""))
    if match is None:
        return None
    try:
        digest = base64.b64decode(match[1], validate=True).hex()
    except binascii.Error:
        digest = ""
    if not _SHA256.fullmatch(digest):
        raise MalformedRequest(
            "Content-Digest is sha-256=:<base64 of 32 bytes>:.", param="Content-Digest"
        )
    return digest


async def _pump(request: Request, consume: Callable[[bytes], None]) -> None:
    waiting = bytearray()
    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= _PIECE:
            await run_in_threadpool(consume, bytes(waiting))
            waiting.clear()
    if waiting:
        await run_in_threadpool(consume, bytes(waiting))


def _content_length(request: Request) -> int | None:
    written = request.headers.get("content-length", "")
    return int(written) if written.isascii() and written.isdigit() else None
