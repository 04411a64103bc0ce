"""The quality rules that a text can be held against, and which of them are asked.

Each rule is a class in ``core.filters``, whose fields are its thresholds and whose defaults are the
published ones. The fields of :class:`QualityFilters` name the rules, in the order in which they are
asked.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import ConfigDict, Discriminator, Tag

from core.filters import c4, fineweb, gopher, the_stack
from core.filters.base import QualityFilter
from core.filters.decontamination import Contaminated
from core.frozen import Frozen

Rule = TypeVar("Rule", bound=QualityFilter)


def _is_switched(value: object) -> str:
    return "off" if value is False else "on"


Switch = Annotated[
    Annotated[Rule, Tag("on")] | Annotated[Literal[False], Tag("off")],
    Discriminator(_is_switched),
]
"""The thresholds that are not to be the published ones; ``false`` for not asking the rule."""


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is asked unless a user says otherwise is the profile's to say, not the schema's."""
    for rule in schema["properties"].values():
        rule.pop("default", None)


class QualityFilters(Frozen):
    """Which rules are asked, in this order; the first that a document fails is its drop's reason.

    Those that cost least and those that apply to most come first; the rules of C4 that take lines
    out stand before those that judge what is left.
    """

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    language: Switch[fineweb.LanguageFilter] = False
    gopher_word_count: Switch[gopher.GopherWordCount] = False
    gopher_mean_word_length: Switch[gopher.GopherMeanWordLength] = False
    gopher_symbols: Switch[gopher.GopherSymbols] = False
    gopher_bullet_lines: Switch[gopher.GopherBulletLines] = False
    gopher_ellipsis_lines: Switch[gopher.GopherEllipsisLines] = False
    gopher_alphabetic_words: Switch[gopher.GopherAlphabeticWords] = False
    gopher_stop_words: Switch[gopher.GopherStopWords] = False
    gopher_duplicate_lines: Switch[gopher.GopherDuplicateLines] = False
    gopher_duplicate_line_characters: Switch[gopher.GopherDuplicateLineCharacters] = False
    gopher_duplicate_paragraphs: Switch[gopher.GopherDuplicateParagraphs] = False
    gopher_duplicate_paragraph_characters: Switch[gopher.GopherDuplicateParagraphCharacters] = False
    gopher_top_2_grams: Switch[gopher.GopherTop2Grams] = False
    gopher_top_3_grams: Switch[gopher.GopherTop3Grams] = False
    gopher_top_4_grams: Switch[gopher.GopherTop4Grams] = False
    gopher_duplicate_5_grams: Switch[gopher.GopherDuplicate5Grams] = False
    gopher_duplicate_6_grams: Switch[gopher.GopherDuplicate6Grams] = False
    gopher_duplicate_7_grams: Switch[gopher.GopherDuplicate7Grams] = False
    gopher_duplicate_8_grams: Switch[gopher.GopherDuplicate8Grams] = False
    gopher_duplicate_9_grams: Switch[gopher.GopherDuplicate9Grams] = False
    gopher_duplicate_10_grams: Switch[gopher.GopherDuplicate10Grams] = False
    c4_lorem_ipsum: Switch[c4.C4LoremIpsum] = False
    c4_curly_brace: Switch[c4.C4CurlyBrace] = False
    c4_long_words: Switch[c4.C4LongWords] = False
    c4_line_punctuation: Switch[c4.C4LinePunctuation] = False
    c4_line_words: Switch[c4.C4LineWords] = False
    c4_javascript: Switch[c4.C4Javascript] = False
    c4_policy: Switch[c4.C4Policy] = False
    c4_sentences: Switch[c4.C4Sentences] = False
    fineweb_line_punctuation: Switch[fineweb.FinewebLinePunctuation] = False
    fineweb_short_lines: Switch[fineweb.FinewebShortLines] = False
    fineweb_duplicate_line_characters: Switch[fineweb.FinewebDuplicateLineCharacters] = False
    fineweb_newlines: Switch[fineweb.FinewebNewlines] = False
    stack_line_length: Switch[the_stack.StackLineLength] = False
    stack_mean_line_length: Switch[the_stack.StackMeanLineLength] = False
    stack_alphanumeric: Switch[the_stack.StackAlphanumeric] = False
    stack_generated: Switch[the_stack.StackGenerated] = False
    contaminated: Switch[Contaminated] = False


WEB_FILTERS: Final = tuple(
    name
    for name in QualityFilters.model_fields
    if name.startswith(("gopher_", "c4_", "fineweb_")) and name != "c4_line_punctuation"
)
"""All but the one of C4 that FineWeb left out: alone it removes about a third of all text."""
CODE_FILTERS: Final = tuple(
    name for name in QualityFilters.model_fields if name.startswith("stack_")
)


@dataclass(frozen=True, slots=True)
class FilterFacts:
    """One rule for people and programs that want to know what there is."""

    name: str
    removes: Literal["documents", "lines"]
    languages: Literal["all", "spaced", "english"]
    description: str
    thresholds: dict[str, int | float]
    """Each with its published value."""
    source: str
    profiles: tuple[str, ...]
    """In which it is asked unless it is switched off."""


def list_filters() -> tuple[FilterFacts, ...]:
    """Every rule, in the order in which they are asked."""
    return tuple(_facts(name) for name in QualityFilters.model_fields)


def _facts(name: str) -> FilterFacts:
    rule = _rule_of(QualityFilters.model_fields[name].annotation)
    profiles = {"web": WEB_FILTERS, "code": CODE_FILTERS}
    return FilterFacts(
        name=name,
        removes=rule.removes,
        languages=rule.languages,
        description=" ".join(inspect.cleandoc(rule.__doc__ or "").split()),
        thresholds=rule().model_dump(),
        source=rule.source,
        profiles=tuple(profile for profile, names in profiles.items() if name in names),
    )


def _rule_of(annotation: Any) -> type[QualityFilter]:  # noqa: ANN401 - annotations have no type
    """The rule in ``Annotated[Rule, Tag("on")] | Annotated[Literal[False], Tag("off")]``."""
    rule: type[QualityFilter] = get_args(get_args(annotation)[0])[0]
    return rule
