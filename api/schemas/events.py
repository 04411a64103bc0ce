"""Events on the wire."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from api.schemas.base import Answer
from core.clock import unix_seconds
from db.tables import Event


class ContinuationObject(Answer):
    """What a decoder wrote after a fixed prompt."""

    prompt: str
    text: str


class CandidateObject(Answer):
    """A word that may stand in a gap."""

    text: str
    probability: float


class FillingObject(Answer):
    """What an encoder put into the gaps of a fixed sentence."""

    blank: str = Field(examples=["I bought a ____ to play my music."])
    text: str = Field(description="The sentence with the best candidate in each gap")
    candidates: list[list[CandidateObject]] = Field(description="For each gap, best first")


class ProbeObject(Answer):
    """What the model said to the fixed prompts and blanks at an evaluation."""

    id: str = Field(description="Of the event that tells it")
    object: Literal["probe"] = "probe"
    created_at: int = Field(description="Unix seconds")
    step: int
    continuations: list[ContinuationObject]
    fillings: list[FillingObject]

    @classmethod
    def all_of(cls, event: Event) -> list[Self]:
        """The probes that an event tells."""
        return [
            cls(id=event.id, created_at=unix_seconds(event.created_at), **probe)
            for probe in event.data["probes"]
        ]


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
