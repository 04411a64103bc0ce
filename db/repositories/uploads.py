"""Queries on uploads in parts."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from db.repositories.owned import OwnedRepository
from db.repositories.scope import Order, Page
from db.tables import Upload, UploadPart


class UploadRepository(OwnedRepository[Upload]):
    """Files that arrive in parts."""

    table = Upload
    noun = "upload"
    prefix = "upload"

    def page(
        self, *, limit: int = 20, after: str | None = None, order: Order = "desc"
    ) -> Page[Upload]:
        """A stretch of the project's uploads."""
        return self._page(limit=limit, after=after, order=order)


class UploadPartRepository(OwnedRepository[UploadPart]):
    """What has arrived of them."""

    table = UploadPart
    noun = "part"
    prefix = "part"

    def of_upload(self, upload_id: str) -> list[UploadPart]:
        """An upload's parts: by their numbers, then in the order of their arrival."""
        query = (
            self._owned(select(UploadPart))
            .where(UploadPart.upload_id == upload_id)
            .order_by(UploadPart.number.asc().nulls_last(), UploadPart.id)
        )
        return list(self._session.scalars(query))

    def numbered(self, upload_id: str, number: int) -> UploadPart | None:
        """The part that the client has given this number, or None."""
        query = self._owned(select(UploadPart)).where(
            UploadPart.upload_id == upload_id, UploadPart.number == number
        )
        return self._session.scalars(query).one_or_none()

    def totals(self, upload_id: str) -> tuple[int, int]:
        """How many parts an upload has, and how many bytes."""
        query = select(func.count(UploadPart.id), func.sum(UploadPart.num_bytes)).where(
            UploadPart.upload_id == upload_id, UploadPart.project_id == self._scope.project_id
        )
        num_parts, num_bytes = self._session.execute(query).one()
        return num_parts, int(num_bytes or 0)

    def delete_all(self, upload_id: str) -> list[str]:
        """Forget an upload's parts; returns the ids of the blobs that they referred to."""
        statement = (
            delete(UploadPart)
            .where(
                UploadPart.upload_id == upload_id,
                UploadPart.project_id == self._scope.project_id,
            )
            .returning(UploadPart.blob_id)
            .execution_options(synchronize_session=False)
        )
        return list(self._session.scalars(statement))
