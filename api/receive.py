"""Uploads on their way in: pieces of about 1 MiB, handed from the event loop to a thread.

Room is kept before the first byte is read. The bytes pass through once and lie nowhere but in the
store. Whatever ends an upload early (a cut connection, a field that is wrong, a digest that
differs, a transaction that fails) leaves nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from api.deps import Service
from core.errors import DigestMismatch, InvalidRequest, MalformedRequest, Unavailable, did_you_mean
from db.unit_of_work import UnitOfWork
from services.files import ReceivedFile, clean_filename
from services.incoming import IncomingBytes
from services.room import HeldRoom

_PIECE: Final = 1 << 20
_FORM_OVERHEAD: Final = 1 << 21
"""What boundaries, headers and text fields may add to a file's own bytes."""
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST: Final = r"([A-Za-z0-9*_-]+)=:([^:]*):"
_CONTENT_DIGEST: Final = re.compile(_DIGEST)
_CONTENT_DIGESTS: Final = re.compile(rf"\s*(?:{_DIGEST}\s*(?:,\s*{_DIGEST}\s*)*)?")
_ALGORITHMS: Final = {"sha-256": "sha256", "sha-512": "sha512"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request's bytes go, and how many may come."""

    service: Service
    project_id: str
    max_bytes: int
    field: str
    """What a form calls them."""
    is_part: bool = False
    """Their room was announced before, and they have no name of their own."""

    @classmethod
    def of_files(cls, service: Service, project_id: str) -> Self:
        """Files of a project, each at most as large as any may be."""
        return cls(service, project_id, service.settings.max_file_bytes, field="file")

    def reserve(self, num_bytes: int) -> HeldRoom:
        """Keep room for all bytes of a request; see `Room.reserve`."""
        return self.service.room.reserve(
            self.project_id,
            num_bytes=num_bytes,
            max_bytes=self.max_bytes,
            is_announced=self.is_part,
        )


class Upload:
    """The files and fields of one request."""

    def __init__(
        self, destination: Destination, room: HeldRoom, *, sha256: str | None = None
    ) -> None:
        self.fields: dict[str, str] = {}
        self.files: list[ReceivedFile] = []
        self._destination = destination
        self._room = room
        self._sha256 = sha256
        self._open: list[tuple[str, IncomingBytes]] = []
        self._kept = False

    def open_file(self, field: str, filename: str) -> IncomingBytes:
        """Begin a file.

        Raises:
            InvalidRequest: its field is not the one for files, or its name is none.
        """
        wanted = self._destination
        if field != wanted.field:
            raise InvalidRequest(
                f"Files are sent in the field {wanted.field!r}, not {field!r}.",
                param=field or None,
            )
        name = "" if wanted.is_part else clean_filename(filename)
        incoming = IncomingBytes(
            wanted.service.store, room=self._room, max_bytes=wanted.max_bytes, param=field
        )
        self._open.append((name, incoming))
        return incoming

    def finish(self) -> None:
        """Make every file's bytes durable."""
        self._room.close()
        while self._open:
            name, incoming = self._open[0]
            self.files.append(ReceivedFile(name, incoming.finish()))
            self._open.pop(0)

    def only_file(self, *, fields: Sequence[str] = ()) -> ReceivedFile:
        """The one file of a request that has but one, and no other than the known fields.

        Raises:
            InvalidRequest: there are other fields, or more files, or none.
            DigestMismatch: it is not the file that ``x-sha256`` announced.
        """
        wanted = self._destination.field
        for name in self.fields:
            if name not in fields:
                known = did_you_mean(name, [*fields, wanted])
                raise InvalidRequest(
                    f"There is no field {name!r}.{known}", code="unknown_field", param=name
                )
        if len(self.files) != 1:
            raise InvalidRequest(
                f"A form has one part named {wanted!r}; here are {len(self.files)}.",
                code="missing_field" if not self.files else None,
                param=wanted,
            )
        self.files[0].received.check_digest(self._sha256)
        return self.files[0]

    def keep(self, uow: UnitOfWork) -> None:
        """The files are known to the database once ``uow`` is committed: they stay."""
        self._room.hand_over(uow)
        uow.after_commit(self._keep)

    def discard(self) -> None:
        """Leave nothing behind, unless it is to be kept."""
        for _, incoming in self._open:
            incoming.abort()
        if self._kept:
            return
        for file in self.files:
            self._destination.service.store.delete(file.received.stored.key)
        try:
            self._room.release()
        except Unavailable:  # it runs out by itself; what ended the upload is worth more
            _log.warning("The room of an upload could not be given back", exc_info=True)

    def _keep(self) -> None:
        self._kept = True


@asynccontextmanager
async def receive_form(
    request: Request, destination: Destination, *, max_text_bytes: int
) -> AsyncIterator[Upload]:
    """Read a multipart form; its files are discarded unless `Upload.keep` was called.

    Raises:
        HTTPException: the body is of another content type, or encoded.
        MalformedRequest: it is no multipart form.
        TooLarge: a file or the fields exceed their limit.
        QuotaExceeded: the project may not have so many bytes.
        Unavailable: there is no room for them.
    """
    field = destination.field
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        raise HTTPException(415, f"The body is multipart/form-data with a part named {field!r}.")
    announced = max(0, (_content_length(request) or 0) - _FORM_OVERHEAD)
    async with _receiving(request, destination, announced) as upload:
        from api.multipart import MultipartForm  # noqa: PLC0415 - the parser loads clients of clouds

        form = MultipartForm(
            request.headers.get("content-type", ""),
            open_file=upload.open_file,
            file_fields=frozenset({field}),
            max_text_bytes=max_text_bytes,
        )

        def finish() -> None:
            form.close()
            upload.fields = form.fields
            upload.finish()

        await _pump(request, form.feed)
        await run_in_threadpool(finish)
        yield upload


@asynccontextmanager
async def receive_body(
    request: Request, destination: Destination, *, filename: str
) -> AsyncIterator[Upload]:
    """Read a raw body as one file; it is discarded unless `Upload.keep` was called.

    Raises:
        HTTPException: the body is encoded.
        TooLarge: the body exceeds the limit.
        QuotaExceeded: the project may not have so many bytes.
        Unavailable: there is no room for them.
    """
    announced = _content_length(request) or 0
    async with _receiving(request, destination, announced) as upload:
        incoming = await run_in_threadpool(upload.open_file, destination.field, filename)
        await _pump(request, incoming.write)
        await run_in_threadpool(upload.finish)
        yield upload


@asynccontextmanager
async def _receiving(
    request: Request, destination: Destination, announced: int
) -> AsyncIterator[Upload]:
    """An upload with its room, which leaves nothing behind unless it is kept."""
    _refuse_encoded(request)
    _refuse_partial(request)
    sha256 = _announced_sha256(request)
    room = await run_in_threadpool(destination.reserve, announced)
    upload = Upload(destination, room, sha256=sha256)
    try:
        yield upload
    finally:
        await run_in_threadpool(upload.discard)


def _refuse_encoded(request: Request) -> None:
    """What is stored would be the compressed bytes under the name of the plain ones."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise HTTPException(
            415,
            f"Content-Encoding: {encoding} is not taken off here. A compressed file is welcome as "
            "it is: send it without this header.",
            headers={"accept-encoding": "identity"},
        )


def _refuse_partial(request: Request) -> None:
    """A client that goes on where it was cut off sends the rest alone (RFC 9110, 14.5).

    Raises:
        MalformedRequest: this is such a rest, which would be stored as if it were everything.
    """
    if "content-range" in request.headers:
        raise MalformedRequest(
            "Content-Range: a body is always all of its bytes. POST /v1/uploads takes a file in "
            "parts, and goes on after a cut.",
            param="Content-Range",
        )


class _ContentDigests:
    """What ``Content-Digest`` (RFC 9530) says of the body as it was sent, form and all."""

    def __init__(self, written: str) -> None:
        """Prepare to compute what is announced; algorithms that we do not know are not checked.

        Raises:
            MalformedRequest: what is there is no digest.
        """
        if not _CONTENT_DIGESTS.fullmatch(written):
            raise MalformedRequest(
                "Content-Digest is written sha-256=:<base64>:, and a comma parts two of them.",
                param="Content-Digest",
            )
        self._announced = [
            (name.lower(), hashlib.new(_ALGORITHMS[name.lower()]), _decoded(name, value))
            for name, value in _CONTENT_DIGEST.findall(written)
            if name.lower() in _ALGORITHMS
        ]

    def update(self, data: bytes) -> None:
        """Take the next bytes of the body."""
        for _, digest, _ in self._announced:
            digest.update(data)

    def check(self) -> None:
        """The body is over.

        Raises:
            DigestMismatch: other bytes arrived than were sent.
        """
        for name, digest, announced in self._announced:
            if digest.digest() != announced:
                found = base64.b64encode(digest.digest()).decode()
                raise DigestMismatch(
                    f"The received body has the digest {name}=:{found}:, not the announced one.",
                    param="Content-Digest",
                )


def _decoded(name: str, value: str) -> bytes:
    """The bytes of an announced digest.

    Raises:
        MalformedRequest: it is not base64, or has not as many bytes as the algorithm gives.
    """
    size = hashlib.new(_ALGORITHMS[name.lower()]).digest_size
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != size:
        raise MalformedRequest(
            f"Content-Digest is {name}=:<base64 of {size} bytes>:.", param="Content-Digest"
        )
    return digest


def _announced_sha256(request: Request) -> str | None:
    """What ``x-sha256`` says of the file.

    Raises:
        MalformedRequest: it is no sha256.
    """
    written = request.headers.get("x-sha256")
    if written is not None and not _SHA256.fullmatch(written):
        raise MalformedRequest("x-sha256 has 64 hexadecimal digits.", param="x-sha256")
    return written


async def _pump(request: Request, consume: Callable[[bytes], None]) -> None:
    digests = _ContentDigests(request.headers.get("content-digest", ""))
    waiting = bytearray()

    def hand_over(data: bytes) -> None:
        digests.update(data)
        consume(data)

    async for piece in request.stream():
        waiting += piece
        if len(waiting) >= _PIECE:
            await run_in_threadpool(hand_over, bytes(waiting))
            waiting.clear()
    if waiting:
        await run_in_threadpool(hand_over, bytes(waiting))
    digests.check()


def _content_length(request: Request) -> int | None:
    written = request.headers.get("content-length", "")
    return int(written) if written.isascii() and written.isdigit() else None
