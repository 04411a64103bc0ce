"""Where everything lies in the store. Keys are made of ids, so they say nothing about content."""

from __future__ import annotations


def file_blob(blob_id: str) -> str:
    """The bytes of a blob."""
    return f"files/{blob_id}"


def corpus(corpus_id: str) -> str:
    """The prefix of a corpus."""
    return f"corpora/{corpus_id}/"


def tokenizer(tokenizer_id: str) -> str:
    """The prefix of a tokenizer."""
    return f"tokenizers/{tokenizer_id}/"


def dataset(digest: str) -> str:
    """The prefix of a dataset; the one thing whose address is what it contains."""
    return f"datasets/{digest}/"


def job_checkpoints(job_id: str) -> str:
    """The prefix of all checkpoints of a job."""
    return f"checkpoints/{job_id}/"


def checkpoint(job_id: str, step: int, fence: int) -> str:
    """The prefix of a checkpoint; the fence keeps a stale owner's writes apart."""
    return f"{job_checkpoints(job_id)}step-{step:08d}-f{fence}/"
