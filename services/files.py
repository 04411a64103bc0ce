"""Files: what users upload, kept as they are.

Bytes go into the store first and become a file in one short transaction; a crash in between leaves
bytes that nobody refers to, never a file without bytes. A file is a list of pieces, one after the
other; equal bytes are kept once a project, whichever way they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from core.errors import Conflict, InvalidRequest
from core.lifecycle import ResourceStatus
from db.tables import Blob, Corpus, File, Tokenizer
from db.unit_of_work import UnitOfWork
from services import checkpoints
from services.incoming import ReceivedBytes
from storage.base import Store
from storage.stretches import Stretch

MAX_FILENAME_LENGTH: Final = 255
MAX_PURPOSE_LENGTH: Final = 64
MIN_LIFETIME_SECONDS: Final = 3600
MAX_LIFETIME_SECONDS: Final = 2_592_000
DEFAULT_PURPOSE: Final = "pretrain"


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """Bytes with a name that are not a file yet."""

    filename: str
    received: ReceivedBytes


def clean_filename(name: str) -> str:
    """The last segment of a name; a path, also one of Windows, is only a label.

    Raises:
        InvalidRequest: nothing is left, or it is too long or holds control characters.
    """
    last = name.replace("\\", "/").rsplit("/", maxsplit=1)[-1].strip() or "upload"
    if len(last) > MAX_FILENAME_LENGTH or not last.isprintable() or last in {".", ".."}:
        raise InvalidRequest(
            f"A filename has 1 to {MAX_FILENAME_LENGTH} printable characters, not {last[:80]!r}.",
            param="filename",
        )
    return last


def check_purpose(purpose: str) -> None:
    """Refuse what is no purpose.

    Raises:
        InvalidRequest: it is empty or too long.
    """
    if not purpose or len(purpose) > MAX_PURPOSE_LENGTH or not purpose.isprintable():
        raise InvalidRequest(
            f"purpose: a word of at most {MAX_PURPOSE_LENGTH} characters, such as "
            f"{DEFAULT_PURPOSE!r}.",
            param="purpose",
        )


def is_lifetime(seconds: int) -> bool:
    """Whether a file may be kept for so long and no longer."""
    return MIN_LIFETIME_SECONDS <= seconds <= MAX_LIFETIME_SECONDS


def create(
    uow: UnitOfWork,
    file: ReceivedFile,
    *,
    purpose: str,
    lifetime_seconds: int | None = None,
    store: Store,
) -> File:
    """Make a file of received bytes; the same bytes as before are kept once.

    Raises:
        InvalidRequest: the purpose is empty or too long.
    """
    stored = file.received.stored
    row = File(
        filename=file.filename,
        purpose=purpose,
        num_bytes=stored.num_bytes,
        sha256=stored.sha256,
    )
    pieces = equal_pieces(uow, row)
    if pieces is None:
        pieces = [keep_bytes(uow, file.received, store=store).id]
    else:
        uow.after_commit(_deletion(store, stored.key))
    return add(uow, row, pieces=pieces, lifetime_seconds=lifetime_seconds)


def add(
    uow: UnitOfWork, file: File, *, pieces: Sequence[str], lifetime_seconds: int | None
) -> File:
    """Add a file that is the blobs ``pieces`` one after the other.

    Raises:
        InvalidRequest: the purpose is empty or too long.
    """
    check_purpose(file.purpose)
    if lifetime_seconds is not None:
        file.expires_at = uow.now() + timedelta(seconds=lifetime_seconds)
    return uow.files.add_with_pieces(file, pieces)


def equal_pieces(uow: UnitOfWork, file: File) -> list[str] | None:
    """The pieces of a file with the same bytes, which stay now until they are referred to."""
    uow.blobs.take_turns(file.sha256)
    equal = uow.files.find_equal(file.sha256, num_bytes=file.num_bytes)
    return None if equal is None else [blob.id for blob in uow.files.pieces(equal.id)]


def keep_bytes(uow: UnitOfWork, received: ReceivedBytes, *, store: Store) -> Blob:
    """Make a blob of received bytes, or find the one that has them already."""
    stored = received.stored
    uow.blobs.take_turns(stored.sha256)
    known = uow.blobs.find_by_digest(stored.sha256, num_bytes=stored.num_bytes)
    if known is not None:
        uow.after_commit(_deletion(store, stored.key))
        return known
    return uow.blobs.add(
        Blob(
            id=received.blob_id,
            key=stored.key,
            num_bytes=stored.num_bytes,
            sha256=stored.sha256,
        )
    )


def forget_bytes(uow: UnitOfWork, blob_ids: Sequence[str], *, store: Store) -> None:
    """Delete blobs that nothing refers to any more; their bytes go after the commit."""
    for key in uow.blobs.delete_unreferenced(blob_ids):
        uow.after_commit(_deletion(store, key))


def delete(uow: UnitOfWork, file_id: str, *, store: Store) -> File:
    """Delete a file, and its bytes with the last file that refers to them.

    Raises:
        NotFound: there is no such file.
        Conflict: a corpus, a tokenizer or a checkpoint that is not finished still has to read it.
    """
    file = uow.files.get(file_id, lock=True)
    made: list[Corpus | Tokenizer] = [
        *uow.corpora.made_of(file_id),
        *uow.tokenizers.made_of(file_id),
    ]
    readers = [
        *(one for one in made if one.status in {ResourceStatus.QUEUED, ResourceStatus.PROCESSING}),
        *(one for one in uow.checkpoints.being_made() if file_id in checkpoints.file_ids(one)),
    ]
    if readers:
        raise Conflict(
            f"The file is being read for {readers[0].id!r}; delete that first, or wait.",
            code="file_in_use",
        )
    blob_ids = [blob.id for blob in uow.files.pieces(file_id)]
    uow.files.delete(file)
    forget_bytes(uow, blob_ids, store=store)
    return file


def stretches(uow: UnitOfWork, file_id: str) -> list[Stretch]:
    """Where the bytes of a file lie, in order."""
    return [Stretch(blob.num_bytes, key=blob.key) for blob in uow.files.pieces(file_id)]


def _deletion(store: Store, key: str) -> Callable[[], None]:
    return lambda: store.delete(key)
