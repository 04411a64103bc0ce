"""Tokenizers on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from api.schemas.base import Answer, Metadata, ObjectId, RequestBody
from core.clock import unix_seconds
from core.job_request import Name, VocabSize
from core.spec import MAX_VOCAB_SIZE
from core.tokenizer_algorithms import TokenizerAlgorithm
from db.tables import Tokenizer

MAX_TEXT_LENGTH = 500_000
MAX_TOKENS = 200_000


class TokenizerBody(RequestBody):
    """The body of ``POST /v1/tokenizers``: a corpus, or a file, to be measured on a corpus."""

    corpus: ObjectId | None = Field(
        default=None,
        description="The id of a corpus to train on; with `file`, to measure that one on",
    )
    file: ObjectId | None = Field(
        default=None,
        description="The id of a `tokenizer.json` to take: byte-level BPE, unigram or WordPiece",
    )
    vocab_size: VocabSize | None = Field(default=None, description="Default: by the corpus")
    algorithm: TokenizerAlgorithm | None = Field(
        default=None, description="Default: bpe; a file has its own"
    )
    name: Name | None = Field(default=None, description="For people; the id if there is none")
    metadata: Metadata = Field(default={})

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if self.corpus is None and self.file is None:
            raise ValueError("a tokenizer is made of a corpus or of a file: give one of them")
        if self.file is not None and (self.vocab_size, self.algorithm) != (None, None):
            raise ValueError("a file has its own vocab_size and algorithm")
        return self


class TokenizerSource(Answer):
    """How a tokenizer does on one file of a corpus."""

    file: str = Field(description="The name of the file")
    num_bytes: int = Field(description="Text that was measured")
    bytes_per_token: float
    fertility: float = Field(description="Tokens for each word: each run of letters or digits")
    unused_share: float = Field(
        ge=0, le=1, description="The part of the vocabulary that does not occur in this text"
    )


class TokenizerStats(Answer):
    """How well a tokenizer fits a corpus, measured on at most 10 MB of held-out text."""

    bytes_per_token: float
    fertility: float | None = Field(default=None, description="Tokens for each word")
    unused_share: float | None = Field(default=None, ge=0, le=1)
    num_measured_bytes: int | None = None
    num_sample_bytes: int | None = Field(
        description="The text that it was trained on; null for an uploaded one"
    )
    largest_vocab_size: int | None = Field(
        description="What that text gives at most; null if it was not exhausted"
    )
    sources: list[TokenizerSource] = Field(
        default=[], description="The files with the most text measured, at most 100"
    )


class TokenizerObject(Answer):
    """A tokenizer: text to token ids and back."""

    id: str = Field(examples=["tokenizer_01kb1s5p0v8m2f1c7w9xq4h3tz"])
    object: Literal["tokenizer"] = "tokenizer"
    created_at: int = Field(description="Unix seconds")
    name: str
    corpus: str | None = Field(
        description="What it was trained on; of an uploaded one, what it was measured on"
    )
    file: str | None = Field(description="The file that was uploaded; null for a trained one")
    status: Literal["queued", "processing", "ready", "failed"]
    progress: float = Field(ge=0, le=1)
    algorithm: Literal["bpe", "unigram", "wordpiece", "unknown"] = Field(
        description="`unknown` until an uploaded one has been checked"
    )
    vocab_size: int | None
    sha256: str | None
    default: bool = Field(description="Whether it was made along with its corpus")
    stats: TokenizerStats | None = Field(
        description="Null until it is ready, and for a file without a corpus"
    )
    error: dict[str, Any] | None
    metadata: dict[str, str]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self:
        """The tokenizer as it is sent."""
        return cls(
            id=tokenizer.id,
            created_at=unix_seconds(tokenizer.created_at),
            name=tokenizer.name,
            corpus=tokenizer.corpus_id,
            file=tokenizer.file_id,
            status=tokenizer.status.value,
            progress=tokenizer.progress,
            algorithm=tokenizer.algorithm,
            vocab_size=tokenizer.vocab_size or tokenizer.requested_vocab_size,
            sha256=tokenizer.sha256,
            default=tokenizer.is_default,
            stats=None if tokenizer.stats is None else TokenizerStats(**tokenizer.stats),
            error=tokenizer.error,
            metadata=tokenizer.metadata_,
        )


class EncodeRequest(RequestBody):
    """Text to encode."""

    text: str = Field(max_length=MAX_TEXT_LENGTH)


class Encoding(Answer):
    """A text as tokens."""

    object: Literal["encoding"] = "encoding"
    tokens: list[int]
    pieces: list[str]


class DecodeRequest(RequestBody):
    """Token ids to decode."""

    tokens: list[Annotated[int, Field(ge=0, lt=MAX_VOCAB_SIZE)]] = Field(max_length=MAX_TOKENS)


class Decoding(Answer):
    """Tokens as a text."""

    object: Literal["decoding"] = "decoding"
    text: str
