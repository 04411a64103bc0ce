"""Uploads in parts: announced, sent in any order from anywhere, and completed into a file.

Nothing is joined: the parts become the pieces of the file as they lie. Completing reads the bytes
once, for their digest, outside of any transaction.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.errors import Conflict, DigestMismatch, InvalidRequest, NotFound, TooLarge
from core.lifecycle import UploadStatus
from core.settings import Settings
from db.tables import File, Upload, UploadPart
from db.unit_of_work import UnitOfWork
from services import files
from services.incoming import ReceivedBytes
from services.room import Room
from storage.base import Store
from storage.stretches import Stretch, read_stretches

MAX_PARTS: Final = 10_000
MAX_TIMES_SENT: Final = 2
"""The parts may be so many times as large as the file: some are sent again, cut in another way."""


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file's bytes are known by, as far as anybody has to know."""

    sha256: str | None
    md5: str | None = None

    def check(self, *, sha256: str | None, md5: str | None) -> None:
        """Compare with what the client announced.

        Raises:
            DigestMismatch: these are other bytes.
        """
        for name, announced, found in (("sha256", sha256, self.sha256), ("md5", md5, self.md5)):
            if announced and found and announced.lower() != found:
                raise DigestMismatch(
                    f"The parts put together have the {name} {found}, "
                    f"but {announced.lower()} was announced.",
                    param=name,
                )


@dataclass(frozen=True, slots=True)
class Assembly:
    """Parts that are to become a file, in their order, or the file that they have become."""

    stretches: tuple[Stretch, ...]
    """Empty if that file has been deleted."""
    sha256: str | None
    """Where it is known."""

    def digest(self, store: Store, *, with_md5: bool) -> Digests:
        """The digests of the parts put together; they are read, unless what is known is enough.

        Raises:
            NotFound: bytes have gone, because the upload has ended or a part was replaced.
        """
        if not self.stretches or (self.sha256 is not None and not with_md5):
            return Digests(sha256=self.sha256)
        sha256 = hashlib.sha256()
        md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        num_bytes = sum(stretch.num_bytes for stretch in self.stretches)
        for piece in read_stretches(store, self.stretches, start=0, end=num_bytes):
            sha256.update(piece)
            if md5 is not None:
                md5.update(piece)
        return Digests(sha256=sha256.hexdigest(), md5=md5.hexdigest() if md5 else None)


def create(
    uow: UnitOfWork,
    *,
    filename: str,
    num_bytes: int,
    mime_type: str,
    purpose: str,
    lifetime_seconds: int | None,
    room: Room,
    settings: Settings,
) -> Upload:
    """Announce a file; the project's quota counts all of it from now on.

    Raises:
        InvalidRequest: the name or the purpose is none.
        TooLarge: a file has never so many bytes.
        QuotaExceeded: the project may not have so many more.
        Unavailable: there is no room for them now (``disk_full``).
    """
    files.check_purpose(purpose)
    most = room.largest(settings.max_file_bytes)
    if num_bytes > most:
        raise TooLarge(f"A file has at most {most} bytes, not {num_bytes}.", param="bytes")
    uow.reservations.take_turns()
    upload = uow.uploads.add(
        Upload(
            filename=files.clean_filename(filename),
            purpose=purpose,
            mime_type=mime_type,
            num_bytes=num_bytes,
            expires_at=uow.now() + timedelta(seconds=settings.upload_seconds),
            file_seconds=lifetime_seconds,
        )
    )
    room.check(uow, and_bytes=num_bytes)
    return upload


def status_of(upload: Upload, *, now: datetime) -> UploadStatus:
    """The status, also of an upload whose time is over before anybody swept it."""
    if upload.status is UploadStatus.PENDING and upload.expires_at <= now:
        return UploadStatus.EXPIRED
    return upload.status


def find_pending(uow: UnitOfWork, upload_id: str, *, lock: bool = False) -> Upload:
    """An upload that still takes parts.

    Raises:
        NotFound: there is no such upload.
        Conflict: it is completed, cancelled or expired.
    """
    upload = uow.uploads.get(upload_id, lock=lock)
    status = status_of(upload, now=uow.now())
    if status is not UploadStatus.PENDING:
        raise Conflict(
            f"The upload is {status}; only a pending one can be changed.",
            code=f"upload_{status}",
        )
    return upload


def add_part(
    uow: UnitOfWork,
    upload_id: str,
    received: ReceivedBytes,
    *,
    number: int | None,
    room: Room,
    store: Store,
) -> tuple[UploadPart, bool]:
    """Add what has arrived; under a number that has other bytes already, it takes their place.

    Returns:
        The part, and whether the received bytes are its own; if not, they are here already.

    Raises:
        NotFound: there is no such upload.
        Conflict: it is completed, cancelled or expired.
        TooLarge: these are too many parts, or too many bytes in them.
        QuotaExceeded: they are more than announced, and more than the project may have.
    """
    upload = find_pending(uow, upload_id, lock=True)
    stored = received.stored
    replaced = None if number is None else uow.upload_parts.numbered(upload_id, number)
    if replaced is not None:
        if (replaced.sha256, replaced.num_bytes) == (stored.sha256, stored.num_bytes):
            return replaced, False
        uow.upload_parts.delete(replaced)
    blob = files.keep_bytes(uow, received, store=store)
    part = uow.upload_parts.add(
        UploadPart(
            upload_id=upload_id,
            number=number,
            num_bytes=stored.num_bytes,
            sha256=stored.sha256,
            blob_id=blob.id,
        )
    )
    if replaced is not None:
        files.forget_bytes(uow, [replaced.blob_id], store=store)
    _check_totals(uow, upload, room=room)
    return part, True


def assemble(uow: UnitOfWork, upload_id: str, part_ids: Sequence[str]) -> Assembly:
    """What an upload is to be completed with, or has been, by the very same request.

    Raises:
        NotFound: there is no such upload, or it has no such part.
        Conflict: it is completed otherwise, cancelled or expired.
        InvalidRequest: a part is listed twice, or they have other than the announced bytes.
    """
    upload = uow.uploads.get(upload_id)
    if _was_completed_with(upload, part_ids):
        file = uow.files.find(upload.file_id or "")
        if file is None:
            return Assembly(stretches=(), sha256=None)
        return Assembly(tuple(files.stretches(uow, file.id)), sha256=file.sha256)
    parts = _choose_parts(uow, upload_id, part_ids)
    blobs = uow.blobs.get_many({part.blob_id for part in parts})
    return Assembly(
        stretches=tuple(Stretch(part.num_bytes, key=blobs[part.blob_id].key) for part in parts),
        sha256=parts[0].sha256 if len(parts) == 1 else None,
    )


def complete(
    uow: UnitOfWork, upload_id: str, part_ids: Sequence[str], *, sha256: str | None, store: Store
) -> Upload:
    """Make a file of the parts, in this order; all others go. Doing it twice is no mistake.

    Args:
        uow: A transaction.
        upload_id: The upload.
        part_ids: As `assemble` took them; they are looked at again, under the upload's lock.
        sha256: The digest of the parts put together.
        store: Where the bytes of the other parts are deleted.

    Raises:
        PretrainerError: as `assemble` does.
    """
    upload = uow.uploads.get(upload_id, lock=True)
    if _was_completed_with(upload, part_ids):
        return upload
    assert sha256 is not None  # the parts have been read
    parts = _choose_parts(uow, upload_id, part_ids)
    row = File(
        filename=upload.filename,
        purpose=upload.purpose,
        num_bytes=upload.num_bytes,
        sha256=sha256,
    )
    pieces = files.equal_pieces(uow, row) or [part.blob_id for part in parts]
    file = files.add(uow, row, pieces=pieces, lifetime_seconds=upload.file_seconds)
    upload.file_id = file.id
    upload.parts_digest = _digest_of_ids(part_ids)
    _end(uow, upload, UploadStatus.COMPLETED, store=store)
    return upload


def cancel(uow: UnitOfWork, upload_id: str, *, store: Store) -> Upload:
    """Give an upload up; its bytes go after the commit. Doing it twice is no mistake.

    Raises:
        NotFound: there is no such upload.
        Conflict: it is completed or expired.
    """
    upload = uow.uploads.get(upload_id, lock=True)
    if upload.status is UploadStatus.CANCELLED:
        return upload
    find_pending(uow, upload_id)
    _end(uow, upload, UploadStatus.CANCELLED, store=store)
    return upload


def expire(uow: UnitOfWork, upload_id: str, *, store: Store) -> bool:
    """End an upload whose time is over; False if it has ended otherwise."""
    upload = uow.uploads.find(upload_id, lock=True)
    if upload is None or upload.status is not UploadStatus.PENDING:
        return False
    _end(uow, upload, UploadStatus.EXPIRED, store=store)
    return True


def _end(uow: UnitOfWork, upload: Upload, status: UploadStatus, *, store: Store) -> None:
    """End an upload; what of its bytes is no file's goes after the commit."""
    upload.status = status
    files.forget_bytes(uow, uow.upload_parts.delete_all(upload.id), store=store)


def _was_completed_with(upload: Upload, part_ids: Sequence[str]) -> bool:
    return upload.parts_digest == _digest_of_ids(part_ids)


def _choose_parts(uow: UnitOfWork, upload_id: str, part_ids: Sequence[str]) -> list[UploadPart]:
    """The parts of a pending upload, in the order wished for, if they are what was announced."""
    upload = find_pending(uow, upload_id)
    by_id = {part.id: part for part in uow.upload_parts.of_upload(upload_id)}
    for part_id, count in Counter(part_ids).items():
        if part_id not in by_id:
            raise NotFound(
                f"The upload has no part {part_id!r}.", code="part_not_found", param="part_ids"
            )
        if count > 1:
            raise InvalidRequest(
                f"The part {part_id!r} is listed {count} times.",
                code="duplicate_part",
                param="part_ids",
            )
    parts = [by_id[part_id] for part_id in part_ids]
    num_bytes = sum(part.num_bytes for part in parts)
    if num_bytes != upload.num_bytes:
        raise InvalidRequest(
            f"The {len(parts)} parts have {num_bytes} bytes together; "
            f"{upload.num_bytes} were announced.",
            code="size_mismatch",
            param="part_ids",
        )
    return parts


def _check_totals(uow: UnitOfWork, upload: Upload, *, room: Room) -> None:
    num_parts, num_bytes = uow.upload_parts.totals(upload.id)
    if num_parts > MAX_PARTS:
        raise TooLarge(f"An upload has at most {MAX_PARTS} parts.")
    most = MAX_TIMES_SENT * upload.num_bytes
    if num_bytes > most:
        raise TooLarge(
            f"The parts would have {num_bytes} bytes together; for an upload of "
            f"{upload.num_bytes} bytes they have at most {most}, some of them sent again."
        )
    if num_bytes > upload.num_bytes:
        uow.reservations.take_turns()
        room.check(uow)


def _digest_of_ids(part_ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(part_ids).encode()).hexdigest()
