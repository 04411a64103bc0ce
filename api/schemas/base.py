"""What all objects and lists on the wire have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from core.frozen import Frozen
from core.job_request import Metadata

__all__ = ["Answer", "Deleted", "ListAnswer", "Metadata", "ObjectId", "RequestBody", "list_of"]

MAX_ID_LENGTH: Final = 128
ObjectId = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
"""The id of an object of ours; whether there is one is found out later."""


class RequestBody(Frozen):
    """A JSON body: unknown fields and other types than named are errors."""


class Answer(BaseModel):
    """An object that we send."""

    model_config = ConfigDict(frozen=True)


Item = TypeVar("Item", bound=Answer)


class ListAnswer(Answer, Generic[Item]):
    """A stretch of a list; the next one begins ``after`` its ``last_id``."""

    object: Literal["list"] = Field(default="list", description="What this is")
    data: list[Item] = Field(description="The objects, in the order asked for")
    has_more: bool = Field(default=False, description="Whether more follow")
    first_id: str | None = Field(default=None, description="The id of the first, if it has one")
    last_id: str | None = Field(default=None, description="The id to go on after")


class Deleted(Answer):
    """What has been deleted."""

    id: str = Field(description="The id that it had")
    object: str = Field(description="What it was")
    deleted: Literal[True] = Field(default=True, description="It is gone")


def list_of(items: Sequence[Item], *, has_more: bool = False) -> ListAnswer[Item]:
    """The list of ``items``; those with ids tell where the next stretch begins."""
    ids = [getattr(item, "id", None) for item in items]
    return ListAnswer(
        data=list(items),
        has_more=has_more,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
    )
