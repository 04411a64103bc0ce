"""How a corpus is made from its files: the options of ``POST /v1/corpora``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.spec import Frozen

CorpusFormat = Literal["auto", "txt", "md", "jsonl"]
CleaningProfile = Literal["none", "light"]
DeduplicationMethod = Literal["none", "exact"]


class CorpusOptions(Frozen):
    """Everything besides the files that decides what a corpus holds; part of its digest."""

    format: CorpusFormat = Field(
        default="auto",
        description="What the files are; auto goes by the name's ending, compression by content",
    )
    text_field: str = Field(
        default="text", min_length=1, max_length=256, description="Where a jsonl line's text is"
    )
    clean: CleaningProfile = Field(
        default="light",
        description="none: decoding alone; light: NFC, line endings and control characters as well",
    )
    deduplicate: DeduplicationMethod = Field(
        default="exact",
        description="exact: of documents equal but for case and white space the first is kept",
    )
    validation_fraction: float = Field(
        default=0.01,
        ge=0,
        le=0.5,
        description="Share of the text held out; raised where it would be less than 1 % of it",
    )
