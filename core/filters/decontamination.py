"""The rule of GPT-3 (arXiv 2005.14165, appendix C) on texts that quote an evaluation."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from core.filters.base import QualityFilter

GPT_3: Final = "GPT-3 (arXiv 2005.14165, C)"


class Contaminated(QualityFilter):
    """Documents that share min_ngrams runs of ngram_words words with the file `decontaminate`.

    A text of that file that is shorter counts as a whole, if it has min_words words.
    """

    source = GPT_3
    ngram_words: int = Field(default=13, ge=2, le=100)
    min_words: int = Field(default=8, ge=1, le=100)
    min_ngrams: int = Field(default=1, ge=1, le=10**9)
