"""How a corpus is made from its files: the options of ``POST /v1/corpora``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from core.cleaning_options import CleaningOptions, CleaningProfile, profile_as_cleaning
from core.frozen import Frozen

CorpusFormat = Literal["auto", "txt", "md", "jsonl", "csv", "parquet", "html", "warc", "wet"]
DeduplicationMethod = Literal["none", "exact", "near"]


class CorpusOptions(Frozen):
    """Everything besides the files that decides what a corpus holds; part of its digest."""

    format: CorpusFormat = Field(
        default="auto",
        description="What the files are; auto goes by their first bytes, then by the name's ending",
    )
    text_field: str = Field(
        default="text",
        min_length=1,
        max_length=256,
        description="Where the text of a jsonl line, a csv or a parquet row is",
    )
    clean: Annotated[
        CleaningOptions,
        BeforeValidator(
            profile_as_cleaning, json_schema_input_type=CleaningProfile | CleaningOptions
        ),
    ] = Field(
        default=CleaningOptions(),
        description="How texts are cleaned: the name of a profile, or an object that begins with "
        "one and changes it",
    )
    deduplicate: DeduplicationMethod = Field(
        default="exact",
        description="exact: of documents equal but for case and white space the first is kept; "
        "near: of documents that share most of their words as well, the longest",
    )
    validation_fraction: float = Field(
        default=0.01,
        ge=0,
        le=0.5,
        description="Share of the text held out; raised where it would be less than 1 % of it",
    )
