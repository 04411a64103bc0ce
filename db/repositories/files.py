"""Queries on files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select

from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Blob, File, FilePiece


class FileRepository(OwnedRepository[File]):
    """Uploaded files and the blobs they consist of."""

    table = File
    noun = "file"
    prefix = "file"

    def add_with_pieces(self, file: File, blob_ids: Sequence[str]) -> File:
        """Insert a file that is the blobs one after the other."""
        self.add(file)
        self._session.add_all(
            FilePiece(file_id=file.id, position=position, blob_id=blob_id)
            for position, blob_id in enumerate(blob_ids)
        )
        self._session.flush()
        return file

    def pieces(self, file_id: str) -> list[Blob]:
        """The blobs of a file, in order."""
        query = (
            select(Blob)
            .join(FilePiece, FilePiece.blob_id == Blob.id)
            .join(File, File.id == FilePiece.file_id)
            .where(File.id == file_id)
            .where(File.project_id == self._scope.project_id)
            .order_by(FilePiece.position)
        )
        return list(self._session.scalars(query))

    def find_equal(self, sha256: str, *, num_bytes: int) -> File | None:
        """A file with the same bytes, locked so that they stay until they are referred to."""
        query = (
            self._owned(select(File))
            .where(File.sha256 == sha256, File.num_bytes == num_bytes)
            .order_by(File.id)
            .limit(1)
            .with_for_update(key_share=True)
        )
        return self._session.scalars(query).one_or_none()

    def get_many(self, file_ids: Collection[str]) -> dict[str, File]:
        """Those of the files that exist, by id."""
        query = self._owned(select(File)).where(File.id.in_(file_ids))
        return {file.id: file for file in self._session.scalars(query)}

    def page(
        self,
        *,
        limit: int = 20,
        after: str | None = None,
        order: Order = "desc",
        purpose: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Page[File]:
        """A stretch of the project's files."""
        conditions = self._with_metadata(File.metadata_, metadata)
        if purpose is not None:
            conditions.append(File.purpose == purpose)
        return self._page(*conditions, limit=limit, after=after, order=order)
