"""The rules of The Stack (arXiv 2301.03988 and 2402.19173) for programs."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from core.filters.base import Amount, QualityFilter, Share

THE_STACK: Final = "The Stack (arXiv 2301.03988)"
THE_STACK_V2: Final = "The Stack v2 (arXiv 2402.19173)"


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
