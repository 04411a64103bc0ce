"""Files on the wire."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field

from api.schemas.base import Answer
from core.clock import unix_seconds
from db.tables import File

MAX_FORM_PARTS: Final = 1000


class FileObject(Answer):
    """A file: bytes that a user uploaded, and that never change."""

    id: str = Field(examples=["file_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["file"] = "file"
    bytes: int = Field(description="How many")
    created_at: int = Field(description="Unix seconds")
    filename: str
    purpose: str
    status: str = Field(description="uploaded, processed or error")
    sha256: str
    expires_at: int | None = None

    @classmethod
    def of(cls, file: File) -> Self:
        """The file as it is sent."""
        return cls(
            id=file.id,
            bytes=file.num_bytes,
            created_at=unix_seconds(file.created_at),
            filename=file.filename,
            purpose=file.purpose,
            status=file.status,
            sha256=file.sha256,
            expires_at=unix_seconds(file.expires_at) if file.expires_at else None,
        )
