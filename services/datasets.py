"""Datasets: corpora as token ids, made when somebody first needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from corpora.addressing import dataset_digest
from db.tables import Corpus, Dataset, Tokenizer
from db.unit_of_work import UnitOfWork
from storage import keys

_BYTES_PER_TOKEN: Final = 4.0
"""Of English text, where a tokenizer does not say."""


def find(uow: UnitOfWork, *, corpus: Corpus, tokenizer: Tokenizer) -> Dataset | None:
    """The corpus as the tokenizer encodes it, or None if nobody has needed it yet."""
    assert corpus.digest is not None  # both are ready
    assert tokenizer.sha256 is not None
    digest = dataset_digest(corpus_digest=corpus.digest, tokenizer_sha256=tokenizer.sha256)
    return uow.datasets.find(digest)


def add(
    uow: UnitOfWork, *, corpus_id: str, tokenizer_id: str, manifest: Mapping[str, Any]
) -> Dataset:
    """Write down a dataset whose shards are in the store."""
    digest = str(manifest["digest"])
    return uow.datasets.add(
        Dataset(
            digest=digest,
            corpus_id=corpus_id,
            tokenizer_id=tokenizer_id,
            prefix=keys.dataset(digest),
            num_train_tokens=manifest["splits"]["train"]["num_tokens"],
            manifest=dict(manifest),
        )
    )


def num_train_tokens(uow: UnitOfWork, *, corpus: Corpus, tokenizer: Tokenizer) -> int:
    """How many tokens the training split has: counted where it is encoded, estimated otherwise."""
    dataset = find(uow, corpus=corpus, tokenizer=tokenizer)
    if dataset is not None:
        return dataset.num_train_tokens
    assert corpus.splits is not None
    train = corpus.splits["train"]
    bytes_per_token = (tokenizer.stats or {}).get("bytes_per_token") or _BYTES_PER_TOKEN
    num_documents, num_bytes = int(train["num_documents"]), int(train["num_bytes"])
    return max(1, round(num_bytes / bytes_per_token) + num_documents)
