"""Corpora on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field

from api.schemas.base import Answer, Metadata, RequestBody
from core.cleaning_options import CleaningOptions, profile_as_cleaning
from core.clock import unix_seconds
from core.corpus_options import CorpusOptions
from core.job_request import MAX_NAME_LENGTH
from core.lifecycle import ResourceStatus
from core.objectives import CausalObjective, Objective
from corpora.report import CorpusReport
from db.tables import Corpus, Tokenizer

MAX_FILES = 10_000
MAX_EXAMPLES = 100
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]


class CorpusFields(CorpusOptions):
    """How to make a corpus: the fields that a JSON body and a form share."""

    name: Name | None = Field(default=None, description="For people; the id if there is none")
    extends: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="The id of a corpus whose documents this one has as well, without reading them "
        "again; its options hold, and its held-out documents stay held out",
    )
    metadata: Metadata = Field(default={})

    @property
    def options(self) -> CorpusOptions:
        """What decides the corpus's content; what was not given stays unset."""
        given = self.model_fields_set & set(CorpusOptions.model_fields)
        return CorpusOptions(**{name: getattr(self, name) for name in given})


class CorpusRequest(CorpusFields):
    """The body of ``POST /v1/corpora``."""

    files: list[str] = Field(
        min_length=1, max_length=MAX_FILES, description="The ids of uploaded files"
    )


class CorpusProcessing(Answer):
    """How far the present stage of a corpus is; what the stage does not count is null."""

    num_files: int | None = None
    total_files: int | None = None
    num_records: int | None = None
    num_documents: int | None = None
    num_bytes: int | None = Field(default=None, description="Of the files as they are stored")
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    eta_seconds: float | None = Field(default=None, description="Until the corpus is ready")


class CorpusObject(Answer):
    """A corpus: documents made from files."""

    id: str = Field(examples=["corpus_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["corpus"] = "corpus"
    created_at: int = Field(description="Unix seconds")
    ready_at: int | None = None
    name: str
    status: Literal["queued", "processing", "ready", "failed"]
    progress: float = Field(ge=0, le=1, description="Of the whole way to ready")
    stage: str | None = Field(default=None, description="What is being done just now")
    processing: CorpusProcessing | None = Field(description="Only while it is being made")
    extends: str | None = Field(description="The corpus whose documents it has as well")
    files: list[str] = Field(description="The ids of its files, those of extends included")
    format: str
    text_field: str
    clean: Annotated[CleaningOptions, BeforeValidator(profile_as_cleaning)]
    deduplicate: str
    validation_fraction: float
    digest: str | None = Field(description="Of the content and the options alone")
    stats: dict[str, Any] | None
    splits: dict[str, Any] | None
    default_tokenizer: str | None
    error: dict[str, Any] | None
    metadata: dict[str, str]

    @classmethod
    def of(cls, corpus: Corpus, *, file_ids: Sequence[str]) -> Self:
        """The corpus as it is sent."""
        return cls(
            id=corpus.id,
            created_at=unix_seconds(corpus.created_at),
            ready_at=unix_seconds(corpus.ready_at) if corpus.ready_at else None,
            name=corpus.name,
            status=corpus.status.value,
            progress=corpus.progress,
            stage=corpus.stage,
            processing=_processing(corpus),
            extends=corpus.extends_id,
            files=list(file_ids),
            **corpus.options,
            digest=corpus.digest,
            stats=corpus.stats,
            splits=corpus.splits,
            default_tokenizer=corpus.default_tokenizer_id,
            error=corpus.error,
            metadata=corpus.metadata_,
        )


def _processing(corpus: Corpus) -> CorpusProcessing | None:
    if corpus.status is not ResourceStatus.PROCESSING:
        return None
    return CorpusProcessing.model_validate(corpus.processing or {})


class DocumentObject(Answer):
    """A document of a corpus, and where it came from."""

    id: str = Field(examples=["train-0"], description="Its split and its number there")
    object: Literal["document"] = "document"
    text: str
    file: str
    place: str
    record: int


class TokenizerFacts(Answer):
    """How a corpus's default tokenizer encodes it."""

    id: str
    algorithm: str
    vocab_size: int | None
    bytes_per_token: float | None = Field(description="Of the text that it was made from")

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self:
        """The facts of a tokenizer."""
        return cls(
            id=tokenizer.id,
            algorithm=tokenizer.algorithm,
            vocab_size=tokenizer.vocab_size,
            bytes_per_token=(tokenizer.stats or {}).get("bytes_per_token"),
        )


class CorpusReportObject(CorpusReport):
    """What became of every record and every byte."""

    object: Literal["corpus_report"] = "corpus_report"
    corpus: str = Field(description="Its id")
    name: str
    created_at: int = Field(description="When the corpus was asked for; unix seconds")
    options: dict[str, Any] = Field(description="How it was made")
    tokenizer: TokenizerFacts | None = Field(description="The corpus's default tokenizer")

    @classmethod
    def of(cls, corpus: Corpus, report: CorpusReport, *, tokenizer: Tokenizer | None) -> Self:
        """The report as it is sent, with what the database adds to what was stored."""
        return cls(
            **dict(report),
            corpus=corpus.id,
            name=corpus.name,
            created_at=unix_seconds(corpus.created_at),
            options=corpus.options,
            tokenizer=None if tokenizer is None else TokenizerFacts.of(tokenizer),
        )


class ExamplesRequest(RequestBody):
    """The body of ``POST /v1/corpora/{id}/examples``."""

    objective: Objective = CausalObjective()
    tokenizer: str | None = Field(default=None, description="Default: the corpus's own")
    context_length: int = Field(default=256, ge=16, le=4096, description="Tokens of a window")
    limit: int = Field(default=5, ge=1, le=MAX_EXAMPLES)
    seed: int = Field(default=0, ge=0, lt=2**63)


class RemovedPiece(Answer):
    """What was taken out: ``text[start:end]``, in characters."""

    text: str
    start: int
    end: int


class ExampleObject(Answer):
    """A labelled example, just as a job would make it."""

    object: Literal["example"] = "example"
    text: str
    blanked: str = Field(description="The text with ____ for each gap")
    removed: list[RemovedPiece]
    input_tokens: list[int]
    label_tokens: list[int]
