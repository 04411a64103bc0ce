"""Events on the wire."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from api.schemas.base import Answer
from core.clock import unix_seconds
from db.tables import Event


class EventObject(Answer):
    """Something that happened; ids rise in the order of commits."""

    id: str
    object: Literal["event"] = "event"
    created_at: int = Field(description="Unix seconds")
    type: str = Field(examples=["job.progress"])
    level: Literal["info", "warn", "error"]
    message: str
    data: dict[str, Any]
    job: str | None = None

    @classmethod
    def of(cls, event: Event) -> Self:
        """The event as it is sent."""
        return cls(
            id=event.id,
            created_at=unix_seconds(event.created_at),
            type=event.type,
            level=event.level,
            message=event.message,
            data=event.data,
            job=event.job_id,
        )
