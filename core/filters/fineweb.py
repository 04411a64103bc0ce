"""The rules of FineWeb (arXiv 2406.17557) on lines, and its filter of languages."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from core.filters.base import Amount, QualityFilter, Share

FINEWEB: Final = "FineWeb (arXiv 2406.17557)"


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


class LanguageFilter(QualityFilter):
    """Documents in none of `languages`; with less than min_confidence it is `und`."""

    source = FINEWEB
    min_confidence: Share = 0.65
