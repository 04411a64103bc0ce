"""Labelled examples of a corpus: what a job would remove, and what would be left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from core.objectives import AnyObjective
from corpora.documents import iter_documents
from corpora.encode import encode_texts
from corpora.examples import Example, labelled_examples
from corpora.shards import open_dataset
from corpora.tokenizer import load_tokenizer
from corpora.vocabulary import END_OF_TEXT
from corpora.windows import TokenStream
from db.unit_of_work import UnitOfWork
from services import datasets, readiness
from services.encoding import tokenizer_json
from storage import keys
from storage.base import Store

_SAMPLE_CHARACTERS: Final = 1_000_000
"""How much of a corpus is encoded for a tokenizer that no job has used on it yet."""


@dataclass(frozen=True, slots=True)
class Source:
    """What examples are made from; found in a transaction, read after it."""

    corpus_id: str
    tokenizer_id: str
    dataset_prefix: str | None
    """None while nobody has encoded the corpus with this tokenizer."""


def find_source(uow: UnitOfWork, corpus_id: str, *, tokenizer_id: str | None) -> Source:
    """Where the examples of a corpus come from.

    Raises:
        NotFound: there is no such corpus or tokenizer.
        Conflict: one of them is not ready, or has failed.
    """
    corpus = readiness.ready_corpus(uow, corpus_id)
    wanted = tokenizer_id or corpus.default_tokenizer_id or ""
    tokenizer = readiness.ready_tokenizer(uow, wanted, param="tokenizer")
    dataset = datasets.find(uow, corpus=corpus, tokenizer=tokenizer)
    return Source(
        corpus_id=corpus.id,
        tokenizer_id=tokenizer.id,
        dataset_prefix=dataset.prefix if dataset else None,
    )


def make(
    source: Source,
    *,
    objective: AnyObjective,
    context_length: int,
    seed: int,
    limit: int,
    first: int,
    stage: int,
    store: Store,
    cache: Path,
) -> list[Example]:
    """The samples that a job with this objective and seed would see, from number ``first`` on.

    Where a job has encoded the corpus with this tokenizer, exactly those; else samples of the
    corpus's beginning.
    """
    tokenizer = load_tokenizer(tokenizer_json(store, source.tokenizer_id))
    stream: TokenStream
    if source.dataset_prefix is None:
        stream = _encode_beginning(source, tokenizer, store=store, cache=cache)
    else:
        stream = open_dataset(store.materialise(source.dataset_prefix, cache=cache)).train
    return labelled_examples(
        stream,
        objective=objective,
        tokenizer=tokenizer,
        context_length=context_length,
        seed=seed,
        limit=limit,
        first=first,
        stage=stage,
    )


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The first documents of a split as tokens, in memory."""

    tokens: NDArray[np.int64]

    @property
    def num_tokens(self) -> int:
        return len(self.tokens)

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        return self.tokens[start : start + count]


def _encode_beginning(
    source: Source, tokenizer: Tokenizer, *, store: Store, cache: Path
) -> _Beginning:
    directory = store.materialise(keys.corpus(source.corpus_id), cache=cache)
    texts: list[str] = []
    num_characters = 0
    for document in iter_documents(directory, "train"):
        texts.append(document.text[:_SAMPLE_CHARACTERS])
        num_characters += len(texts[-1])
        if num_characters >= _SAMPLE_CHARACTERS:
            break
    ids: list[int] = []
    for encoded in encode_texts(tokenizer, texts):
        ids += [END_OF_TEXT, *encoded]
    return _Beginning(np.array(ids, dtype=np.int64))
