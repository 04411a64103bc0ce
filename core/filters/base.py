"""What a quality rule is to those who ask for it: a name, thresholds and a source."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from core.frozen import Frozen

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[int, Field(ge=0, le=10**9)]


def _with_source(schema: dict[str, Any], rule: type[QualityFilter]) -> None:
    schema["description"] = f"{schema['description']} Source: {rule.source}."


class QualityFilter(Frozen):
    """A rule: what is dropped, in the docstring; the thresholds, in the fields."""

    model_config = ConfigDict(json_schema_extra=_with_source)

    source: ClassVar[str]
    """Where the rule and its thresholds are published."""
    removes: ClassVar[Literal["documents", "lines"]] = "documents"
    languages: ClassVar[Literal["all", "spaced", "english"]] = "all"
    """Which texts it is asked about: those written with spaces between words, English ones."""
