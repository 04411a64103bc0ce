"""Files: what users upload, kept as they are.

Bytes go into the store first and become a file in one short transaction; a crash in between leaves
bytes that nobody refers to, never a file without bytes. Equal bytes are kept once a project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from core.errors import Conflict, DigestMismatch, InvalidRequest, TooLarge, Unavailable
from core.ids import new_id
from core.lifecycle import ResourceStatus
from db.tables import Blob, File
from db.unit_of_work import UnitOfWork
from storage import keys
from storage.base import Store, StoredObject

MAX_FILENAME_LENGTH: Final = 255
MAX_PURPOSE_LENGTH: Final = 64
DEFAULT_PURPOSE: Final = "pretrain"
_FREE_SPACE_INTERVAL: Final = 16 << 20
"""How many bytes arrive between two looks at the free disk space."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What an upload must keep to."""

    max_bytes: int
    min_free_bytes: int
    """What stays free in the store, where that is known."""

    def check_announced(self, num_bytes: int | None, *, store: Store) -> None:
        """Refuse before the first byte what its announced size already forbids.

        Raises:
            TooLarge: more than a file may have.
            Unavailable: more than the store has room for.
        """
        if num_bytes is not None and num_bytes > self.max_bytes:
            raise TooLarge(f"A file has at most {self.max_bytes} bytes, not {num_bytes}.")
        self.check_free_space(num_bytes or 0, store=store)

    def check_free_space(self, num_bytes: int, *, store: Store) -> None:
        """Keep a floor of free space.

        Raises:
            Unavailable: ``num_bytes`` more would go below it.
        """
        free = store.free_bytes()
        if free is not None and free - num_bytes < self.min_free_bytes:
            raise Unavailable("There is too little free disk space.", code="disk_full")


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """Bytes in the store that are not a file yet."""

    blob_id: str
    filename: str
    stored: StoredObject


class IncomingFile:
    """A file on its way into the store: counted, hashed, and written once."""

    def __init__(self, store: Store, *, filename: str, limits: UploadLimits) -> None:
        """Begin.

        Raises:
            InvalidRequest: the name is no filename.
        """
        self._store = store
        self._filename = clean_filename(filename)
        self._blob_id = new_id("blob")
        self._limits = limits
        self._num_bytes = 0
        self._next_look = _FREE_SPACE_INTERVAL
        self._writer = store.writer(keys.file_blob(self._blob_id))

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: more than a file may have, whatever was announced.
            Unavailable: the store is full, or nearly so.
        """
        self._num_bytes += len(data)
        if self._num_bytes > self._limits.max_bytes:
            raise TooLarge(f"A file has at most {self._limits.max_bytes} bytes.", param="file")
        if self._num_bytes >= self._next_look:
            self._limits.check_free_space(0, store=self._store)
            self._next_look = self._num_bytes + _FREE_SPACE_INTERVAL
        self._writer.write(data)

    def finish(self) -> ReceivedFile:
        """Make the bytes durable.

        Raises:
            InvalidRequest: there are none.
            Unavailable: the store could not do it.
        """
        if self._num_bytes == 0:
            raise InvalidRequest(
                f"The file {self._filename!r} is empty.", code="empty_file", param="file"
            )
        return ReceivedFile(
            blob_id=self._blob_id, filename=self._filename, stored=self._writer.commit()
        )

    def abort(self) -> None:
        """Leave nothing behind."""
        self._writer.abort()


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


def check_digest(received: ReceivedFile, *, announced: str | None) -> None:
    """Compare with the sha256 (64 hexadecimal digits) that the client announced.

    Raises:
        DigestMismatch: other bytes arrived than were sent.
    """
    if announced is not None and announced.lower() != received.stored.sha256:
        raise DigestMismatch(
            f"The received bytes have the sha256 {received.stored.sha256}, "
            f"but {announced.lower()} was announced."
        )


def create(uow: UnitOfWork, received: ReceivedFile, *, purpose: str, store: Store) -> File:
    """Make a file of received bytes; the same bytes as before are kept once.

    Raises:
        InvalidRequest: the purpose is empty or too long.
    """
    if not purpose or len(purpose) > MAX_PURPOSE_LENGTH or not purpose.isprintable():
        raise InvalidRequest(
            f"purpose: a word of at most {MAX_PURPOSE_LENGTH} characters, such as "
            f"{DEFAULT_PURPOSE!r}.",
            param="purpose",
        )
    stored = received.stored
    blob = uow.blobs.find_by_digest(stored.sha256, num_bytes=stored.num_bytes)
    if blob is None:
        blob = uow.blobs.add(
            Blob(
                id=received.blob_id,
                key=stored.key,
                num_bytes=stored.num_bytes,
                sha256=stored.sha256,
            )
        )
    else:
        uow.after_commit(lambda: store.delete(stored.key))
    return uow.files.add_with_pieces(
        File(
            filename=received.filename,
            purpose=purpose,
            num_bytes=stored.num_bytes,
            sha256=stored.sha256,
        ),
        [blob.id],
    )


def delete(uow: UnitOfWork, file_id: str, *, store: Store) -> File:
    """Delete a file, and its bytes with the last file that refers to them.

    Raises:
        NotFound: there is no such file.
        Conflict: a corpus that is not finished still has to read it.
    """
    file = uow.files.get(file_id, lock=True)
    for corpus in uow.corpora.made_of(file_id):
        if corpus.status in {ResourceStatus.QUEUED, ResourceStatus.PROCESSING}:
            raise Conflict(
                f"The file is being read for the corpus {corpus.id!r}; delete that first, or wait.",
                code="file_in_use",
            )
    blob_ids = [blob.id for blob in uow.files.pieces(file_id)]
    uow.files.delete(file)
    for key in uow.blobs.delete_unreferenced(blob_ids):
        uow.after_commit(_deletion(store, key))
    return file


def read_pieces(
    store: Store, pieces: list[StoredObject], *, start: int, end: int
) -> Iterator[bytes]:
    """The bytes from ``start`` up to, not including, ``end`` of the pieces put together."""
    offset = 0
    for piece in pieces:
        first, last = max(start - offset, 0), min(end - offset, piece.num_bytes)
        if first < last:
            yield from store.open(piece.key, start=first, end=last)
        offset += piece.num_bytes


def _deletion(store: Store, key: str) -> Callable[[], None]:
    return lambda: store.delete(key)
