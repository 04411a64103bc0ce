"""Queries on blobs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import delete, exists, func, select

from db.repositories.owned import OwnedRepository
from db.tables import Blob, FilePiece, UploadPart

_KEY_DIGITS: Final = 15
"""Hexadecimal digits of a digest that make a lock's key, which has 63 bits."""


class BlobRepository(OwnedRepository[Blob]):
    """Stored bytes, shared by the files of a project that have equal digests."""

    table = Blob
    noun = "blob"
    prefix = "blob"

    def get_many(self, blob_ids: Collection[str]) -> dict[str, Blob]:
        """Those of the blobs that exist, by id."""
        query = self._owned(select(Blob)).where(Blob.id.in_(blob_ids))
        return {blob.id: blob for blob in self._session.scalars(query)}

    def take_turns(self, sha256: str) -> None:
        """Let nobody else add these bytes until this transaction ends.

        Of two that brought the same bytes at once, neither would find the other's. SQLite has one
        writer anyway.
        """
        if self._session.get_bind().dialect.name == "postgresql":
            key = int(sha256[:_KEY_DIGITS], 16)
            self._session.execute(select(func.pg_advisory_xact_lock(key)))

    def find_by_digest(self, sha256: str, *, num_bytes: int) -> Blob | None:
        """Bytes that are here already, locked so that they stay until they are referred to."""
        query = (
            self._owned(select(Blob))
            .where(Blob.sha256 == sha256, Blob.num_bytes == num_bytes)
            .order_by(Blob.id)
            .limit(1)
            .with_for_update(key_share=True)
        )
        return self._session.scalars(query).one_or_none()

    def delete_unreferenced(self, blob_ids: Collection[str]) -> list[str]:
        """Forget those of the blobs that no file and no part of an upload refers to any more.

        Returns:
            Their keys; the bytes may be deleted from the store after the commit.
        """
        # Locked in a statement of its own: one that waits for a lock goes on with what it saw
        # before, and would not see the file that `find_by_digest` has let in meanwhile.
        owned = self._owned(select(Blob.id)).where(Blob.id.in_(blob_ids))
        locked = self._session.scalars(owned.order_by(Blob.id).with_for_update()).all()
        statement = (
            delete(Blob)
            .where(
                Blob.id.in_(locked),
                ~exists().where(FilePiece.blob_id == Blob.id),
                ~exists().where(UploadPart.blob_id == Blob.id),
            )
            .returning(Blob.key)
            .execution_options(synchronize_session=False)
        )
        return list(self._session.scalars(statement))
