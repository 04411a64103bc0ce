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
C4_CODE: Final = "C4 (its code, tensorflow_datasets c4_utils)"
FINEWEB: Final = "FineWeb (arXiv 2406.17557, 3.6)"
THE_STACK: Final = "The Stack (arXiv 2301.03988, 4.1; 2402.19173, 2.1)"

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[int, Field(ge=0, le=10**9)]


class QualityFilter(Frozen):
    """A rule: what is dropped, in the docstring; the thresholds, in the fields."""

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
    """Documents whose words have on average fewer or more characters."""

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
    """Documents with more hash signs, or more ellipses, for each word."""

    source = GOPHER
    languages = "spaced"
    max_per_word: float = Field(default=0.1, ge=0, le=1000)


class GopherBulletLines(QualityFilter):
    """Documents with a higher share of lines that begin with a bullet."""

    source = GOPHER
    max_share: Share = 0.9


class GopherEllipsisLines(QualityFilter):
    """Documents with a higher share of lines that end with an ellipsis."""

    source = GOPHER
    max_share: Share = 0.3


class GopherAlphabeticWords(QualityFilter):
    """Documents with a lower share of words that have a letter."""

    source = GOPHER
    min_share: Share = 0.8


class GopherStopWords(QualityFilter):
    """English documents with fewer of: the, be, to, of, and, that, have, with."""

    source = GOPHER
    languages = "english"
    min_words: int = Field(default=2, ge=0, le=8)


class GopherDuplicateLines(QualityFilter):
    """Documents with a higher share of lines that stood there before."""

    source = GOPHER
    max_share: Share = 0.3


class GopherDuplicateLineCharacters(QualityFilter):
    """Documents with a higher share of characters in lines that stood there before."""

    source = GOPHER
    max_share: Share = 0.2


class GopherDuplicateParagraphs(QualityFilter):
    """Documents with a higher share of paragraphs that stood there before."""

    source = GOPHER
    max_share: Share = 0.3


class GopherDuplicateParagraphCharacters(QualityFilter):
    """Documents with a higher share of characters in paragraphs that stood there before."""

    source = GOPHER
    max_share: Share = 0.2


class GopherTop2Grams(QualityFilter):
    """Documents with a higher share of characters in the most frequent pair of words."""

    source = GOPHER
    max_share: Share = 0.2


class GopherTop3Grams(QualityFilter):
    """The same of three words."""

    source = GOPHER
    max_share: Share = 0.18


class GopherTop4Grams(QualityFilter):
    """The same of four words."""

    source = GOPHER
    max_share: Share = 0.16


class GopherDuplicate5Grams(QualityFilter):
    """Documents with a higher share of characters in runs of five words that stood there before."""

    source = GOPHER
    max_share: Share = 0.15


class GopherDuplicate6Grams(QualityFilter):
    """The same of six words."""

    source = GOPHER
    max_share: Share = 0.14


class GopherDuplicate7Grams(QualityFilter):
    """The same of seven words."""

    source = GOPHER
    max_share: Share = 0.13


class GopherDuplicate8Grams(QualityFilter):
    """The same of eight words."""

    source = GOPHER
    max_share: Share = 0.12


class GopherDuplicate9Grams(QualityFilter):
    """The same of nine words."""

    source = GOPHER
    max_share: Share = 0.11


class GopherDuplicate10Grams(QualityFilter):
    """The same of ten words."""

    source = GOPHER
    max_share: Share = 0.1


class C4LoremIpsum(QualityFilter):
    """Documents that contain "lorem ipsum"."""

    source = C4


class C4CurlyBrace(QualityFilter):
    """Documents that contain "{": programs, mostly."""

    source = C4


class C4LinePunctuation(QualityFilter):
    """Lines without terminal punctuation at their end, or with an ellipsis there."""

    source = C4
    removes = "lines"


class C4LineWords(QualityFilter):
    """Lines with fewer words."""

    source = C4
    languages = "spaced"
    removes = "lines"
    min_words: Amount = 3


class C4LongWords(QualityFilter):
    """Lines with a word of more characters."""

    source = C4_CODE
    languages = "spaced"
    removes = "lines"
    max_characters: Amount = 1000


class C4Javascript(QualityFilter):
    """Lines that contain "javascript": warnings that it should be switched on, mostly."""

    source = C4
    removes = "lines"


class C4Policy(QualityFilter):
    """Lines about cookies, terms of use and privacy policies."""

    source = C4
    removes = "lines"


class C4Sentences(QualityFilter):
    """Documents with fewer sentences in the lines that are left."""

    source = C4
    min_sentences: Amount = 5


class FinewebLinePunctuation(QualityFilter):
    """Documents with no higher share of lines that end in terminal punctuation."""

    source = FINEWEB
    min_share: Share = 0.12


class FinewebShortLines(QualityFilter):
    """Documents with as high a share of lines of at most max_characters characters."""

    source = FINEWEB
    max_share: Share = 0.67
    max_characters: Amount = 30


class FinewebDuplicateLineCharacters(QualityFilter):
    """Documents with as high a share of characters in lines that stood there before."""

    source = FINEWEB
    max_share: Share = 0.01


class FinewebNewlines(QualityFilter):
    """Documents with more line breaks for each word: lists."""

    source = FINEWEB
    languages = "spaced"
    max_per_word: float = Field(default=0.3, ge=0, le=1000)


class StackLineLength(QualityFilter):
    """Programs with a longer line."""

    source = THE_STACK
    max_characters: Amount = 1000


class StackMeanLineLength(QualityFilter):
    """Programs whose lines are longer on average."""

    source = THE_STACK
    max_characters: float = Field(default=100, ge=0, le=10**9)


class StackAlphanumeric(QualityFilter):
    """Programs with a lower share of letters and digits among their characters."""

    source = THE_STACK
    min_share: Share = 0.25


class StackGenerated(QualityFilter):
    """Programs that say in their first lines that a program wrote them."""

    source = THE_STACK
    max_lines: int = Field(default=5, ge=1, le=1000)


class LanguageFilter(QualityFilter):
    """Documents not surely in one of `languages`; below min_confidence the language is `und`."""

    source = FINEWEB.replace("3.6", "3.3")
    min_confidence: Share = 0.65


class Contaminated(QualityFilter):
    """Documents that share min_ngrams runs of ngram_words words with the file `decontaminate`.

    A text of that file that is shorter, but has min_words words, counts as a whole.
    """

    source = "GPT-3 (arXiv 2005.14165, C), any shared 13-gram as in datatrove's decontamination"
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
"""All but the one that FineWeb left out: it takes a third of all text, good and bad (3.5)."""
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
