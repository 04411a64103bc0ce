"""The rules of C4 (arXiv 1910.10683, 2.2): on pages, and on their lines."""

from __future__ import annotations

from typing import Final

from core.filters.base import Amount, QualityFilter

C4: Final = "C4 (arXiv 1910.10683, 2.2)"
C4_CODE: Final = "C4 (its code alone, c4_utils of tensorflow_datasets)"


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
