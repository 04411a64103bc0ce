"""Corpora on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from api.schemas.base import Answer, Metadata, ObjectId, RequestBody
from core.cleaning_options import CleaningOptions, profile_as_cleaning
from core.clock import unix_seconds
from core.corpus_options import CorpusOptions
from core.job_request import Name
from core.lifecycle import ResourceStatus
from core.objectives import MAX_STAGES, CausalObjective, Objective, StagedObjective
from corpora.documents import CorpusStats
from corpora.report import CorpusReport
from corpora.split_names import SPLIT_NAMES, SplitName
from db.tables import Corpus, Tokenizer

MAX_FILES = 10_000
MAX_EXAMPLES = 100
MAX_FIRST_EXAMPLE = 10**15
MAX_EXAMPLE_CONTEXT_LENGTH = 4096


class CorpusFields(CorpusOptions):
    """How to make a corpus: the fields that a JSON body and a form share."""

    name: Name | None = Field(default=None, description="For people; the id if there is none")
    extends: ObjectId | None = Field(
        default=None,
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

    files: list[ObjectId] = Field(
        min_length=1, max_length=MAX_FILES, description="The ids of uploaded files"
    )


class CorpusProcessing(Answer):
    """How far the present stage of a corpus is; what the stage does not count is null."""

    num_files: int | None = Field(default=None, description="Files that are done")
    total_files: int | None = Field(default=None, description="All of them")
    num_records: int | None = Field(default=None, description="Records that were read")
    num_documents: int | None = Field(default=None, description="Documents that came of them")
    num_bytes: int | None = Field(
        default=None, description="Bytes that are done: while reading, of the files as stored"
    )
    total_bytes: int | None = Field(default=None, description="All of them")
    bytes_per_second: float | None = Field(default=None, description="Of these bytes")
    eta_seconds: float | None = Field(default=None, description="Until the corpus is ready")


class SplitNumbers(Answer):
    """How much of a corpus is in one of its splits."""

    num_documents: int = Field(description="Documents; one that is cut counts in both splits")
    num_bytes: int = Field(description="Their text in UTF-8")


class ResourceError(Answer):
    """Why something could not be made."""

    code: str = Field(description="Stable", examples=["corpus_empty"])
    message: str = Field(description="What is wrong, and where")
    param: str | None = Field(default=None, description="The field that it lies at")


class CorpusObject(Answer):
    """A corpus: documents made from files."""

    id: str = Field(examples=["corpus_01kb1s5p0v8m2f1c7w9xq4h3tz"], description="Its id")
    object: Literal["corpus"] = Field(default="corpus", description="What this is")
    created_at: int = Field(description="Unix seconds")
    ready_at: int | None = Field(default=None, description="Unix seconds")
    name: str = Field(description="For people", examples=["handbook"])
    status: Literal["queued", "processing", "ready", "failed"] = Field(
        description="ready: it can be used, and never changes again"
    )
    progress: float = Field(ge=0, le=1, description="Of the whole way to ready")
    stage: str | None = Field(
        default=None, description="What is being done just now", examples=["reading"]
    )
    processing: CorpusProcessing | None = Field(description="Only while it is being made")
    extends: str | None = Field(description="The corpus whose documents it has as well")
    files: list[str] = Field(description="The ids of its files, those of extends included")
    format: str = Field(description="What the files were taken for", examples=["auto"])
    text_field: str = Field(description="Where the text of lines and rows is", examples=["text"])
    clean: Annotated[CleaningOptions, BeforeValidator(profile_as_cleaning)] = Field(
        description="How texts were cleaned, with everything filled in"
    )
    deduplicate: str = Field(description="What counted as a repetition", examples=["exact"])
    validation_fraction: float = Field(description="The share that was to be held out")
    digest: str | None = Field(description="Of the content and the options alone")
    stats: CorpusStats | None = Field(description="What became of the records, once it is ready")
    splits: dict[SplitName, SplitNumbers] | None = Field(
        description="What is trained on, and what is held out"
    )
    default_tokenizer: str | None = Field(description="The tokenizer that is made with it")
    error: ResourceError | None = Field(description="Why it failed")
    metadata: dict[str, str] = Field(description="The user's own")

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
            stats=None if corpus.stats is None else CorpusStats.model_validate(corpus.stats),
            splits=None
            if corpus.splits is None
            else {name: SplitNumbers(**corpus.splits[name]) for name in SPLIT_NAMES},
            default_tokenizer=corpus.default_tokenizer_id,
            error=None if corpus.error is None else ResourceError(**corpus.error),
            metadata=corpus.metadata_,
        )


def _processing(corpus: Corpus) -> CorpusProcessing | None:
    if corpus.status is not ResourceStatus.PROCESSING:
        return None
    return CorpusProcessing.model_validate(corpus.processing or {})


class DocumentObject(Answer):
    """A document of a corpus, and where it came from."""

    id: str = Field(examples=["train-0"], description="Its split and its number there")
    object: Literal["document"] = Field(default="document", description="What this is")
    text: str = Field(description="All of it")
    file: str = Field(description="The name under which its file was uploaded")
    place: str = Field(description="Where in the file", examples=["line 17"])
    record: int = Field(description="Which of the file's records it is, from 0")


class TokenizerFacts(Answer):
    """How a corpus's default tokenizer encodes it."""

    id: str = Field(description="Its id")
    algorithm: str = Field(description="How it splits words", examples=["bpe"])
    vocab_size: int | None = Field(description="How many tokens it has; null until it is ready")
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

    object: Literal["corpus_report"] = Field(default="corpus_report", description="What this is")
    corpus: str = Field(description="The id of the corpus")
    name: str = Field(description="The name of the corpus")
    created_at: int = Field(description="When the corpus was asked for; unix seconds")
    options: dict[str, Any] = Field(description="How it was made")
    sha256: str = Field(description="Of the report as it is stored, without the fields around it")
    tokenizer: TokenizerFacts | None = Field(description="The corpus's default tokenizer")

    @classmethod
    def of(
        cls, corpus: Corpus, report: CorpusReport, *, sha256: str, tokenizer: Tokenizer | None
    ) -> Self:
        """The report as it is sent, with what the database adds to what was stored."""
        return cls(
            **dict(report),
            sha256=sha256,
            corpus=corpus.id,
            name=corpus.name,
            created_at=unix_seconds(corpus.created_at),
            options=corpus.options,
            tokenizer=None if tokenizer is None else TokenizerFacts.of(tokenizer),
        )


class ExamplesRequest(RequestBody):
    """The body of ``POST /v1/corpora/{id}/examples``."""

    objective: Objective = Field(
        default=CausalObjective(), description="How words are removed: a name, or an object"
    )
    tokenizer: ObjectId | None = Field(default=None, description="Default: the corpus's own")
    context_length: int = Field(
        default=256,
        ge=16,
        le=MAX_EXAMPLE_CONTEXT_LENGTH,
        description="Tokens of a window: that of the job's model, to see its very samples",
    )
    limit: int = Field(default=5, ge=1, le=MAX_EXAMPLES, description="How many at most")
    seed: int = Field(default=0, ge=0, lt=2**63, description="That of the job to look into")
    first: int = Field(
        default=0,
        ge=0,
        le=MAX_FIRST_EXAMPLE,
        description="The number of the first sample; a step's first is the step times the samples "
        "of a step",
    )
    stage: int = Field(
        default=1, ge=1, le=MAX_STAGES, description="Of a staged objective, the one to look into"
    )

    @model_validator(mode="after")
    def _has_the_stage(self) -> Self:
        objective = self.objective
        num_stages = len(objective.stages) if isinstance(objective, StagedObjective) else 1
        if self.stage > num_stages:
            raise ValueError(f"stage: the objective has {num_stages}, there is no {self.stage}")
        return self


class RemovedPiece(Answer):
    """What was taken out: ``text[start:end]``, in characters."""

    text: str = Field(description="What stood there")
    start: int = Field(description="The first character")
    end: int = Field(description="The one after the last")


class ExampleObject(Answer):
    """A labelled example, just as a job would make it."""

    object: Literal["example"] = Field(default="example", description="What this is")
    text: str = Field(description="As it stands in the corpus")
    blanked: str = Field(description="The text with ____ for each gap")
    removed: list[RemovedPiece] = Field(description="What the gaps held, in their order")
    input_tokens: list[int] = Field(description="What the model is given")
    label_tokens: list[int] = Field(description="What it has to tell: the tokens that count")
    label_positions: list[int] = Field(
        description="At which token of the input it tells each of them"
    )
