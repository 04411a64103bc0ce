"""How texts are cleaned: the ``clean`` of a corpus's options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from core.spec import Frozen

CleaningProfile = Literal["none", "light"]
Removal = Literal["email", "ip"]


def profile_as_cleaning(value: object) -> object:
    """Unfold the name of a profile; leave what is none for the type check to judge."""
    return {"profile": value} if isinstance(value, str) else value


def _sorted_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


class CleaningOptions(Frozen):
    """A profile and what is changed of it. Options that mean the same are dumped the same."""

    profile: CleaningProfile = Field(
        default="light",
        description="none: decoding alone; light: NFC, line endings and control characters as well",
    )
    remove: Annotated[tuple[Removal, ...], AfterValidator(_sorted_once)] = Field(
        default=(),
        max_length=2,
        strict=False,
        description="What is replaced wherever it stands in a text",
    )
    decontaminate: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The id of a file with evaluation texts; documents that quote it are dropped",
    )
