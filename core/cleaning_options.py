"""How texts are cleaned: the ``clean`` of a corpus's options."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, field_serializer, model_validator
from pydantic_core import PydanticCustomError

from core.frozen import Frozen
from core.languages import LANGUAGES
from core.quality_filters import CODE_FILTERS, WEB_FILTERS, QualityFilters

CleaningProfile = Literal["none", "light", "web", "code"]
Removal = Literal["email", "ip"]

DEFAULT_PROFILE: Final = "light"
_FILTERS_OF: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "light": (),
    "web": WEB_FILTERS,
    "code": CODE_FILTERS,
}
_NEEDED_BY: Final = {"language": "languages", "contaminated": "decontaminate"}
"""Filters that another field switches on, for without it they have nothing to compare with."""


def profile_as_cleaning(value: object) -> object:
    """Unfold the name of a profile; leave what is none for the type check to judge."""
    return {"profile": value} if isinstance(value, str) else value


def _known_language(code: str) -> str:
    if code not in LANGUAGES:
        raise PydanticCustomError(
            "unknown_language",
            "No language {code} can be told apart; the codes are those of ISO 639-1, such as 'en'.",
            {"code": repr(code)},
        )
    return code


def _sorted_once(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(sorted(set(values)))


class CleaningOptions(Frozen):
    """A profile and what is changed of it.

    ``filters`` is complete once made: what the profile asks stands there with its thresholds, so
    that options which mean the same are dumped the same, and mean the same for ever.
    """

    profile: CleaningProfile = Field(
        default=DEFAULT_PROFILE,
        description="none: decoding alone; light: NFC, line endings and control characters as "
        "well, and only what is empty or no text is dropped; web: light, and every quality rule "
        "for prose; code: light, and the rules for programs",
    )
    languages: (
        Annotated[
            tuple[Annotated[str, AfterValidator(_known_language)], ...],
            AfterValidator(_sorted_once),
        ]
        | None
    ) = Field(
        default=None,
        min_length=1,
        max_length=len(LANGUAGES),
        strict=False,
        description="Only documents in these languages are kept (ISO 639-1 codes)",
    )
    filters: QualityFilters = Field(
        default=QualityFilters(),
        description="Quality rules by name: false to leave one out, an object to change its "
        "thresholds; an empty one asks a rule that the profile does not, as it was published",
    )
    remove: Annotated[tuple[Removal, ...], AfterValidator(_sorted_once)] = Field(
        default=(),
        max_length=2,
        strict=False,
        description="What is replaced by a placeholder wherever it stands in a text",
    )
    decontaminate: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The id of a file with evaluation texts; documents that quote it are dropped",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete_the_filters(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a user sends
        if not isinstance(given, dict):
            return given
        changed = given.get("filters", {})
        profile = given.get("profile", DEFAULT_PROFILE)
        if not isinstance(changed, dict) or not isinstance(profile, str):
            return given
        needed = (name for name, field in _NEEDED_BY.items() if given.get(field) is not None)
        asked: dict[str, Any] = {name: {} for name in (*_FILTERS_OF.get(profile, ()), *needed)}
        return {**given, "filters": asked | changed}

    @model_validator(mode="after")
    def _what_filters_need_is_given(self) -> Self:
        for name, field in _NEEDED_BY.items():
            if getattr(self.filters, name) and getattr(self, field) is None:
                raise ValueError(f"{field}: the filter {name!r} needs it")
            if not getattr(self.filters, name) and getattr(self, field) is not None:
                raise ValueError(f"{field}: the filter {name!r} that it is for is switched off")
        return self

    @field_serializer("filters")
    def _dump_what_matters(self, filters: QualityFilters) -> dict[str, Any]:
        """The rules that are asked, and those of the profile that are not."""
        names = set(_FILTERS_OF[self.profile])
        return {
            name: value
            for name, value in filters.model_dump().items()
            if value is not False or name in names
        }
