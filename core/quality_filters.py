"""The quality rules that a text can be held against: their names, thresholds and sources.

Each rule is a class whose fields are its thresholds and whose defaults are the published ones. The
fields of :class:`QualityFilters` name the rules, in the order in which they are asked.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from core.frozen import Frozen

GOPHER: Final = "Gopher (arXiv 2112.11446, A.1.1)"
C4: Final = "C4 (arXiv 1910.10683, 2.2)"
C4_CODE: Final = "C4 (its code alone, c4_utils of tensorflow_datasets)"
FINEWEB: Final = "FineWeb (arXiv 2406.17557)"
THE_STACK: Final = "The Stack (arXiv 2301.03988)"
THE_STACK_V2: Final = "The Stack v2 (arXiv 2402.19173)"
GPT_3: Final = "GPT-3 (arXiv 2005.14165, C)"

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


class GopherWordCount(QualityFilter):
    """Documents with fewer than min_words or more than max_words words."""

    source = GOPHER
    languages = "spaced"
    min_words: Amount = 50
    max_words: Amount = 100_000

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words: {self.min_words} is more than max_words {self.max_words}")
        return self


class GopherMeanWordLength(QualityFilter):
    """Documents whose mean word length is below min_characters or above max_characters."""

    source = GOPHER
    languages = "spaced"
    min_characters: float = Field(default=3, ge=0, le=1000)
    max_characters: float = Field(default=10, ge=0, le=1000)

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.min_characters > self.max_characters:
            raise ValueError(
                f"min_characters: {self.min_characters} is more than max_characters "
                f"{self.max_characters}"
            )
        return self


class GopherSymbols(QualityFilter):
    """Documents with more than max_per_word hash signs, or ellipses, for each word."""

    source = GOPHER
    languages = "spaced"
    max_per_word: float = Field(default=0.1, ge=0, le=1000)


class GopherBulletLines(QualityFilter):
    """Documents where more than max_share of the lines begin with a bullet."""

    source = GOPHER
    max_share: Share = 0.9


class GopherEllipsisLines(QualityFilter):
    """Documents where more than max_share of the lines end with an ellipsis."""

    source = GOPHER
    max_share: Share = 0.3


class GopherAlphabeticWords(QualityFilter):
    """Documents where less than min_share of the words have a letter."""

    source = GOPHER
    min_share: Share = 0.8


class GopherStopWords(QualityFilter):
    """Documents with fewer than min_words of: the, be, to, of, and, that, have, with."""

    source = GOPHER
    languages = "english"
    min_words: int = Field(default=2, ge=0, le=8)


class GopherDuplicateLines(QualityFilter):
    """Documents where more than max_share of the lines stood there before."""

    source = GOPHER
    max_share: Share = 0.3


class GopherDuplicateLineCharacters(QualityFilter):
    """Documents with more than max_share of the characters in lines that stood there before."""

    source = GOPHER
    max_share: Share = 0.2


class GopherDuplicateParagraphs(QualityFilter):
    """Documents where more than max_share of the paragraphs stood there before."""

    source = GOPHER
    max_share: Share = 0.3


class GopherDuplicateParagraphCharacters(QualityFilter):
    """Documents with more than max_share of the characters in paragraphs that are repeated."""

    source = GOPHER
    max_share: Share = 0.2


class GopherTop2Grams(QualityFilter):
    """Documents with more than max_share of the characters in the most frequent pair of words."""

    source = GOPHER
    max_share: Share = 0.2


class GopherTop3Grams(QualityFilter):
    """Documents with more than max_share of the characters in the most frequent three words."""

    source = GOPHER
    max_share: Share = 0.18


class GopherTop4Grams(QualityFilter):
    """Documents with more than max_share of the characters in the most frequent four words."""

    source = GOPHER
    max_share: Share = 0.16


class GopherDuplicate5Grams(QualityFilter):
    """Documents with more than max_share of the characters in repeated runs of five words."""

    source = GOPHER
    max_share: Share = 0.15


class GopherDuplicate6Grams(QualityFilter):
    """Documents with more than max_share of the characters in repeated runs of six words."""

    source = GOPHER
    max_share: Share = 0.14


class GopherDuplicate7Grams(QualityFilter):
    """Documents with more than max_share of the characters in repeated runs of seven words."""

    source = GOPHER
    max_share: Share = 0.13


class GopherDuplicate8Grams(QualityFilter):
    """Documents with more than max_share of the characters in repeated runs of eight words."""

    source = GOPHER
    max_share: Share = 0.12


class GopherDuplicate9Grams(QualityFilter):
    """Documents with more than max_share of the characters in repeated runs of nine words."""

    source = GOPHER
    max_share: Share = 0.11


class GopherDuplicate10Grams(QualityFilter):
    """Documents with more than max_share of the characters in repeated runs of ten words."""

    source = GOPHER
    max_share: Share = 0.1


class C4LoremIpsum(QualityFilter):
    """Documents that contain "lorem ipsum"."""

    source = C4


class C4CurlyBrace(QualityFilter):
    """Documents that contain "{", as programs do."""

    source = C4


class C4LinePunctuation(QualityFilter):
    """Lines that do not end in terminal punctuation, or end in an ellipsis."""

    source = C4
    removes = "lines"


class C4LineWords(QualityFilter):
    """Lines with fewer than min_words words."""

    source = C4
    languages = "spaced"
    removes = "lines"
    min_words: Amount = 3


class C4LongWords(QualityFilter):
    """Lines with a word of more than max_characters."""

    source = C4_CODE
    languages = "spaced"
    removes = "lines"
    max_characters: Amount = 1000


class C4Javascript(QualityFilter):
    """Lines that contain "javascript"."""

    source = C4
    removes = "lines"


class C4Policy(QualityFilter):
    """Lines about cookies, terms of use and privacy policies."""

    source = C4
    removes = "lines"


class C4Sentences(QualityFilter):
    """Documents with fewer than min_sentences sentences in the lines that are left."""

    source = C4
    min_sentences: Amount = 5


class FinewebLinePunctuation(QualityFilter):
    """Documents where at most min_share of the lines end in terminal punctuation."""

    source = FINEWEB
    min_share: Share = 0.12


class FinewebShortLines(QualityFilter):
    """Documents where at least max_share of the lines have at most max_characters."""

    source = FINEWEB
    max_share: Share = 0.67
    max_characters: Amount = 30


class FinewebDuplicateLineCharacters(QualityFilter):
    """Documents with at least max_share of the characters in lines that stood there before."""

    source = FINEWEB
    max_share: Share = 0.01


class FinewebNewlines(QualityFilter):
    """Documents with more than max_per_word line breaks for each word, as lists have."""

    source = FINEWEB
    languages = "spaced"
    max_per_word: float = Field(default=0.3, ge=0, le=1000)


class StackLineLength(QualityFilter):
    """Documents with a line of more than max_characters."""

    source = THE_STACK
    max_characters: Amount = 1000


class StackMeanLineLength(QualityFilter):
    """Documents whose lines have more than max_characters on average."""

    source = THE_STACK
    max_characters: float = Field(default=100, ge=0, le=10**9)


class StackAlphanumeric(QualityFilter):
    """Documents where less than min_share of the characters are letters or digits."""

    source = THE_STACK
    min_share: Share = 0.25


class StackGenerated(QualityFilter):
    """Documents that say in their first max_lines lines that a program wrote them."""

    source = THE_STACK_V2
    max_lines: int = Field(default=5, ge=1, le=1000)


class LanguageFilter(QualityFilter):
    """Documents in none of `languages`; with less than min_confidence it is `und`."""

    source = FINEWEB
    min_confidence: Share = 0.65


class Contaminated(QualityFilter):
    """Documents that share min_ngrams runs of ngram_words words with the file `decontaminate`.

    A text of that file that is shorter counts as a whole, if it has min_words words.
    """

    source = GPT_3
    ngram_words: int = Field(default=13, ge=2, le=100)
    min_words: int = Field(default=8, ge=1, le=100)
    min_ngrams: int = Field(default=1, ge=1, le=10**9)


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

    language: Switch[LanguageFilter] = False
    gopher_word_count: Switch[GopherWordCount] = False
    gopher_mean_word_length: Switch[GopherMeanWordLength] = False
    gopher_symbols: Switch[GopherSymbols] = False
    gopher_bullet_lines: Switch[GopherBulletLines] = False
    gopher_ellipsis_lines: Switch[GopherEllipsisLines] = False
    gopher_alphabetic_words: Switch[GopherAlphabeticWords] = False
    gopher_stop_words: Switch[GopherStopWords] = False
    gopher_duplicate_lines: Switch[GopherDuplicateLines] = False
    gopher_duplicate_line_characters: Switch[GopherDuplicateLineCharacters] = False
    gopher_duplicate_paragraphs: Switch[GopherDuplicateParagraphs] = False
    gopher_duplicate_paragraph_characters: Switch[GopherDuplicateParagraphCharacters] = False
    gopher_top_2_grams: Switch[GopherTop2Grams] = False
    gopher_top_3_grams: Switch[GopherTop3Grams] = False
    gopher_top_4_grams: Switch[GopherTop4Grams] = False
    gopher_duplicate_5_grams: Switch[GopherDuplicate5Grams] = False
    gopher_duplicate_6_grams: Switch[GopherDuplicate6Grams] = False
    gopher_duplicate_7_grams: Switch[GopherDuplicate7Grams] = False
    gopher_duplicate_8_grams: Switch[GopherDuplicate8Grams] = False
    gopher_duplicate_9_grams: Switch[GopherDuplicate9Grams] = False
    gopher_duplicate_10_grams: Switch[GopherDuplicate10Grams] = False
    c4_lorem_ipsum: Switch[C4LoremIpsum] = False
    c4_curly_brace: Switch[C4CurlyBrace] = False
    c4_long_words: Switch[C4LongWords] = False
    c4_line_punctuation: Switch[C4LinePunctuation] = False
    c4_line_words: Switch[C4LineWords] = False
    c4_javascript: Switch[C4Javascript] = False
    c4_policy: Switch[C4Policy] = False
    c4_sentences: Switch[C4Sentences] = False
    fineweb_line_punctuation: Switch[FinewebLinePunctuation] = False
    fineweb_short_lines: Switch[FinewebShortLines] = False
    fineweb_duplicate_line_characters: Switch[FinewebDuplicateLineCharacters] = False
    fineweb_newlines: Switch[FinewebNewlines] = False
    stack_line_length: Switch[StackLineLength] = False
    stack_mean_line_length: Switch[StackMeanLineLength] = False
    stack_alphanumeric: Switch[StackAlphanumeric] = False
    stack_generated: Switch[StackGenerated] = False
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
