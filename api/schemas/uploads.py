"""Uploads in parts on the wire."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field

from api.schemas.base import Answer, ObjectId, RequestBody
from api.schemas.files import FileObject
from core.clock import unix_seconds
from core.lifecycle import UploadStatus
from db.tables import File, Upload, UploadPart
from services.files import (
    DEFAULT_PURPOSE,
    MAX_FILENAME_LENGTH,
    MAX_LIFETIME_SECONDS,
    MAX_PURPOSE_LENGTH,
    MIN_LIFETIME_SECONDS,
)
from services.uploads import MAX_PARTS

_MEDIA_TYPE: Final = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127} *(;[ -~]*)?", re.ASCII)
"""RFC 6838, section 4.2; whatever is printable may follow as parameters."""


def _names_a_format(text: str) -> str:
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError("a media type is written type/subtype, such as text/plain")
    return text


MediaType = Annotated[str, Field(max_length=255), AfterValidator(_names_a_format)]


class ExpiresAfter(RequestBody):
    """How long a file is kept."""

    anchor: Literal["created_at"] = "created_at"
    seconds: int = Field(ge=MIN_LIFETIME_SECONDS, le=MAX_LIFETIME_SECONDS)


class UploadRequest(RequestBody):
    """The body of ``POST /v1/uploads``."""

    filename: str = Field(min_length=1, description=f"At most {MAX_FILENAME_LENGTH} characters")
    bytes: int = Field(ge=1, le=1 << 62, description="How many the parts have together, exactly")
    mime_type: MediaType = Field(
        default="application/octet-stream", description="Noted; the bytes say what they are"
    )
    purpose: str = Field(default=DEFAULT_PURPOSE, max_length=MAX_PURPOSE_LENGTH)
    expires_after: ExpiresAfter | None = Field(
        default=None, description="Of the file; default: it is kept"
    )


class CompleteRequest(RequestBody):
    """The body of ``POST /v1/uploads/{id}/complete``."""

    part_ids: list[ObjectId] = Field(
        min_length=1, max_length=MAX_PARTS, description="In the order of the file"
    )
    md5: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{32}$")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")


class UploadObject(Answer):
    """An upload in parts: a file that is announced, and what has become of it."""

    id: str = Field(examples=["upload_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["upload"] = "upload"
    bytes: int = Field(description="Announced")
    created_at: int = Field(description="Unix seconds")
    expires_at: int = Field(description="Unix seconds; then it goes, unless it is completed")
    filename: str
    purpose: str
    mime_type: str
    status: UploadStatus
    file: FileObject | None = Field(description="What it has become")

    @classmethod
    def of(cls, upload: Upload, *, status: UploadStatus, file: File | None) -> Self:
        """The upload as it is sent."""
        return cls(
            id=upload.id,
            bytes=upload.num_bytes,
            created_at=unix_seconds(upload.created_at),
            expires_at=unix_seconds(upload.expires_at),
            filename=upload.filename,
            purpose=upload.purpose,
            mime_type=upload.mime_type,
            status=status,
            file=FileObject.of(file) if file is not None else None,
        )


class PartObject(Answer):
    """Some of an upload's bytes."""

    id: str = Field(examples=["part_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["upload.part"] = "upload.part"
    created_at: int = Field(description="Unix seconds")
    upload_id: str
    number: int | None = Field(description="As the client numbered it")
    bytes: int = Field(description="How many")
    sha256: str

    @classmethod
    def of(cls, part: UploadPart) -> Self:
        """The part as it is sent."""
        return cls(
            id=part.id,
            created_at=unix_seconds(part.created_at),
            upload_id=part.upload_id,
            number=part.number,
            bytes=part.num_bytes,
            sha256=part.sha256,
        )
