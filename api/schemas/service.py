"""Health and limits on the wire."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from api.schemas.base import Answer
from core.quality_filters import FilterFacts


class Health(Answer):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class PartState(Answer):
    """How one part of the service is."""

    status: Literal["ok", "unavailable"]
    detail: str | None = None


class Readiness(Answer):
    """Whether requests can be served, part by part."""

    status: Literal["ok", "unavailable"]
    database: PartState
    broker: PartState
    store: PartState


class FilterLimits(Answer):
    """A quality rule that ``clean.filters`` can switch and change."""

    name: str = Field(examples=["gopher_word_count"])
    description: str
    removes: Literal["documents", "lines"]
    languages: Literal["all", "spaced", "english"] = Field(
        description="spaced: only texts in languages that are written with spaces between words"
    )
    thresholds: dict[str, int | float] = Field(description="With their published values")
    profiles: list[Literal["web", "code"]] = Field(description="Those that ask it by themselves")
    source: str = Field(description="Where it is published")

    @classmethod
    def of(cls, facts: FilterFacts) -> Self:
        """The rule as it is sent."""
        return cls.model_validate(facts, from_attributes=True)


class Limits(Answer):
    """Every limit of this API."""

    object: Literal["limits"] = "limits"
    json_bytes: int
    json_depth: int
    file_bytes: int
    part_bytes: int = Field(description="The largest part of an upload")
    upload_parts: int
    upload_times_sent: int = Field(
        description="The parts of an upload may have so many times its bytes: some are sent again"
    )
    upload_seconds: int = Field(description="Time to complete an upload")
    file_lifetime_seconds_min: int
    file_lifetime_seconds_max: int
    storage_bytes: int | None = Field(description="What all files together may take; null: any")
    free_disk_bytes: int
    filename_characters: int
    form_parts: int
    corpus_files: int
    checkpoint_files: int = Field(description="Of an uploaded model")
    checkpoint_bytes: int = Field(description="What may be taken out of the archive of one")
    examples: int
    examples_context_length: int
    page_size: int
    files_page_size: int
    metadata_pairs: int
    metadata_key_characters: int
    metadata_value_characters: int
    name_characters: int
    wait_seconds: int
    streams: int
    tokenizer_file_bytes: int
    encode_characters: int
    decode_tokens: int
    layers: int
    width: int
    heads: int
    ffn_width: int
    context_length: int
    vocab_size: int
    vocab_size_min: int
    mixture_corpora: int
    objective_parts: int = Field(description="Objectives in a mix")
    objective_stages: int
    prompts: int
    prompt_characters: int
    devices: int
    hosts: int
    filters: list[FilterLimits] = Field(description="In the order in which they are asked")
