"""The rules of Gopher (arXiv 2112.11446, A.1.1 and table A1): on quality and on repetition."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, model_validator

from core.filters.base import Amount, QualityFilter, Share

GOPHER: Final = "Gopher (arXiv 2112.11446, A.1.1)"


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
