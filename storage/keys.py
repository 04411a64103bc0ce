"""Where everything lies in the store. Keys are made of ids, so they say nothing about content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

FILES: Final = "files/"
CORPORA: Final = "corpora/"
TOKENIZERS: Final = "tokenizers/"
DATASETS: Final = "datasets/"
PIECES: Final = "pieces/"
CHECKPOINTS: Final = "checkpoints/"
TOKENIZER_FILE: Final = "tokenizer.json"
_CHECKPOINT: Final = re.compile(
    rf"{CHECKPOINTS}(?P<job_id>[^/]+)/step-(?P<step>\d+)-f(?P<fence>\d+)/"
)

_PIECE_ATTEMPT: Final = re.compile(rf"{PIECES}(?P<piece_id>[^/]+)/f(?P<fence>\d+)/")


def file_blob(blob_id: str) -> str:
    """The bytes of a blob."""
    return f"{FILES}{blob_id}"


def corpus(corpus_id: str) -> str:
    """The prefix of a corpus."""
    return f"{CORPORA}{corpus_id}/"


def tokenizer(tokenizer_id: str) -> str:
    """The prefix of a tokenizer."""
    return f"{TOKENIZERS}{tokenizer_id}/"


def tokenizer_file(tokenizer_id: str) -> str:
    """The key of a tokenizer's ``tokenizer.json``."""
    return f"{tokenizer(tokenizer_id)}{TOKENIZER_FILE}"


def dataset(dataset_id: str) -> str:
    """The prefix of a dataset."""
    return f"{DATASETS}{dataset_id}/"


def piece(piece_id: str) -> str:
    """The prefix of everything that was ever made of a piece."""
    return f"{PIECES}{piece_id}/"


def piece_attempt(piece_id: str, fence: int) -> str:
    """The prefix of a piece as one attempt has made it."""
    return f"{piece(piece_id)}f{fence}/"


def job_checkpoints(job_id: str) -> str:
    """The prefix of all checkpoints of a job."""
    return f"{CHECKPOINTS}{job_id}/"


def checkpoint(job_id: str, step: int, fence: int) -> str:
    """The prefix of a checkpoint; the fence keeps a stale owner's writes apart."""
    return f"{job_checkpoints(job_id)}step-{step:08d}-f{fence}/"


@dataclass(frozen=True, slots=True)
class CheckpointAddress:
    """Whose checkpoint lies somewhere."""

    job_id: str
    step: int
    fence: int

    @classmethod
    def of(cls, key: str) -> Self | None:
        """The checkpoint that a key belongs to; None if it belongs to none."""
        found = _CHECKPOINT.match(key)
        if found is None:
            return None
        return cls(job_id=found["job_id"], step=int(found["step"]), fence=int(found["fence"]))

    @property
    def prefix(self) -> str:
        """As `checkpoint` gives it."""
        return checkpoint(self.job_id, self.step, self.fence)


@dataclass(frozen=True, slots=True)
class PieceAttempt:
    """Whose making of a piece lies somewhere."""

    piece_id: str
    fence: int

    @classmethod
    def of(cls, key: str) -> Self | None:
        """The attempt that a key belongs to; None if it belongs to none."""
        found = _PIECE_ATTEMPT.match(key)
        if found is None:
            return None
        return cls(piece_id=found["piece_id"], fence=int(found["fence"]))
