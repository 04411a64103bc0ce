"""Checkpoints and models on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from api.schemas.base import Answer, ObjectId, RequestBody
from core.clock import unix_seconds
from db.tables import Checkpoint, CheckpointFile, Job

MAX_CHECKPOINT_FILES = 1000


class CheckpointBody(RequestBody):
    """The body of ``POST /v1/checkpoints``: either `files` or `archive`."""

    files: (
        Annotated[list[ObjectId], Field(min_length=1, max_length=MAX_CHECKPOINT_FILES)] | None
    ) = Field(
        default=None,
        description="The ids of the files of a Hugging Face folder: Qwen3 or ModernBERT with its "
        "`config.json`, its `tokenizer.json` and its weights as safetensors",
    )
    archive: ObjectId | None = Field(
        default=None, description="The id of a tar or zip archive of such a folder"
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.files is None) == (self.archive is None):
            raise ValueError("a checkpoint is made of files or of an archive: give one of them")
        return self


class CheckpointChanges(RequestBody):
    """The body of ``PATCH /v1/checkpoints/{id}``."""

    pinned: bool = Field(description="A pinned checkpoint is never pruned")


class CheckpointFileObject(Answer):
    """A file in a checkpoint's folder."""

    name: str = Field(examples=["model.safetensors"])
    bytes: int
    sha256: str
    url: str


class CheckpointObject(Answer):
    """A checkpoint: weights in the Hugging Face layout, and what resumes training."""

    id: str = Field(examples=["ckpt_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["checkpoint"] = "checkpoint"
    created_at: int = Field(description="Unix seconds")
    job: str | None = Field(description="null for an uploaded one")
    step: int
    tokens: int
    status: Literal["queued", "processing", "failed", "complete", "corrupt", "deleted"]
    model: dict[str, Any] | None = Field(description="Its shape")
    tokenizer: str | None
    error: dict[str, Any] | None
    metrics: dict[str, Any]
    files: list[CheckpointFileObject]
    bytes: int
    pinned: bool
    best: bool = Field(description="Whether it is the best of its job")

    @classmethod
    def of(cls, checkpoint: Checkpoint, *, files: Sequence[CheckpointFile], best: bool) -> Self:
        """The checkpoint as it is sent."""
        return cls(
            id=checkpoint.id,
            created_at=unix_seconds(checkpoint.created_at),
            job=checkpoint.job_id,
            step=checkpoint.step,
            tokens=checkpoint.tokens,
            status=checkpoint.status.value,
            model=checkpoint.model,
            tokenizer=checkpoint.tokenizer_id,
            error=checkpoint.error,
            metrics=checkpoint.metrics,
            files=[
                CheckpointFileObject(
                    name=file.name,
                    bytes=file.num_bytes,
                    sha256=file.sha256,
                    url=f"/v1/checkpoints/{checkpoint.id}/files/{quote(file.name)}",
                )
                for file in files
            ],
            bytes=checkpoint.num_bytes,
            pinned=checkpoint.pinned,
            best=best,
        )


class ModelObject(Answer):
    """A checkpoint by name."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix seconds")
    created_at: int = Field(description="Unix seconds")
    owned_by: str = "pretrainer"
    checkpoint: str
    job: str | None
    job_name: str | None
    step: int

    @classmethod
    def of(cls, model_id: str, checkpoint: Checkpoint, *, job: Job | None) -> Self:
        """The model as it is sent, under the name it was asked for."""
        created = unix_seconds(checkpoint.created_at)
        return cls(
            id=model_id,
            created=created,
            created_at=created,
            checkpoint=checkpoint.id,
            job=checkpoint.job_id,
            job_name=job.name if job else None,
            step=checkpoint.step,
        )
