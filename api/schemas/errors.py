"""The shape of every failure."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ErrorPart(BaseModel):
    """One thing that is wrong."""

    message: str = Field(description="What was seen and what is allowed")
    code: str = Field(description="Stable; for programs", examples=["unknown_field"])
    param: str | None = Field(description="The path of the wrong field", examples=["model.heads"])


class ErrorObject(ErrorPart):
    """The first thing that is wrong, and all of them in ``details``."""

    type: str = Field(description="The class of failure", examples=["invalid_request_error"])
    details: list[ErrorPart] = Field(description="Everything that is wrong")


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 or more."""

    error: ErrorObject = Field(description="What went wrong")
