"""Probes on the wire."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from api.schemas.base import Answer
from core.clock import unix_seconds
from db.tables import Probe


class ContinuationObject(Answer):
    """What a decoder wrote after a fixed prompt."""

    prompt: str
    text: str


class CandidateObject(Answer):
    """A word that may stand in a gap."""

    text: str
    probability: float


class FillingObject(Answer):
    """What a model put into the gaps of a fixed sentence."""

    blank: str = Field(examples=["I bought a ____ to play my music."])
    text: str = Field(description="The sentence with the best candidate in each gap")
    candidates: list[list[CandidateObject]] = Field(description="For each gap, best first")


class ProbeObject(Answer):
    """What the model said to the fixed prompts and blanks at an evaluation."""

    id: str = Field(examples=["probe_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["probe"] = "probe"
    created_at: int = Field(description="Unix seconds")
    job: str
    step: int
    continuations: list[ContinuationObject]
    fillings: list[FillingObject]

    @classmethod
    def of(cls, probe: Probe) -> Self:
        """The probe as it is sent."""
        return cls(
            id=probe.id,
            created_at=unix_seconds(probe.created_at),
            job=probe.job_id,
            step=probe.step,
            continuations=probe.continuations,
            fillings=probe.fillings,
        )
