"""Bytes on their way into the store: counted, hashed and written once."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import DigestMismatch, InvalidRequest, TooLarge
from core.ids import new_id
from services.room import HeldRoom
from storage import keys
from storage.base import Store, StoredObject


@dataclass(frozen=True, slots=True)
class ReceivedBytes:
    """Bytes in the store that no row refers to yet."""

    blob_id: str
    stored: StoredObject

    def check_digest(self, announced: str | None) -> None:
        """Compare with the sha256 (64 hexadecimal digits) that the client announced.

        Raises:
            DigestMismatch: other bytes arrived than were sent.
        """
        if announced is not None and announced.lower() != self.stored.sha256:
            raise DigestMismatch(
                f"The received bytes have the sha256 {self.stored.sha256}, "
                f"but {announced.lower()} was announced.",
                param="x-sha256",
            )


class IncomingBytes:
    """Bytes that still arrive."""

    def __init__(self, store: Store, *, room: HeldRoom, max_bytes: int, param: str) -> None:
        """Begin.

        Args:
            store: Where they go.
            room: Where they are counted.
            max_bytes: The most that may come, whatever was announced.
            param: What the client calls them.
        """
        self._room = room
        self._max_bytes = max_bytes
        self._param = param
        self._blob_id = new_id("blob")
        self._writer = store.writer(keys.file_blob(self._blob_id))

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: more than may come.
            QuotaExceeded: more than the project may have.
            Unavailable: the store is full, or nearly so.
        """
        if self._writer.num_bytes + len(data) > self._max_bytes:
            raise TooLarge(f"There may be at most {self._max_bytes} bytes.", param=self._param)
        self._room.count(len(data))
        self._writer.write(data)

    def finish(self) -> ReceivedBytes:
        """Make the bytes durable.

        Raises:
            InvalidRequest: there are none.
            Unavailable: the store could not do it.
        """
        if self._writer.num_bytes == 0:
            raise InvalidRequest(
                "There are no bytes; at least one is needed.", code="empty_file", param=self._param
            )
        return ReceivedBytes(blob_id=self._blob_id, stored=self._writer.commit())

    def abort(self) -> None:
        """Leave nothing behind."""
        self._writer.abort()
