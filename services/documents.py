"""The documents of a corpus, and the report on what became of every record."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Literal

from corpora.documents import REPORT_NAME, Document, iter_documents
from corpora.report import CorpusReport
from db.repositories.scope import Page
from storage import keys
from storage.base import Store


def page(
    store: Store,
    corpus_id: str,
    *,
    split: Literal["train", "validation"],
    start: int,
    limit: int,
    cache: Path,
) -> Page[Document]:
    """``limit`` documents of a split, from number ``start`` on.

    Args:
        store: Where the corpus is.
        corpus_id: A corpus that is ready.
        split: Which documents.
        start: The number of the first, counted from 0.
        limit: How many at most.
        cache: Where a distant store keeps what it has brought.
    """
    directory = store.materialise(keys.corpus(corpus_id), cache=cache)
    found = list(islice(iter_documents(directory, split, after=start), limit + 1))
    return Page.cut(found, limit=limit)


def report(store: Store, corpus_id: str) -> CorpusReport:
    """The report of a corpus that is ready."""
    stored = b"".join(store.open(f"{keys.corpus(corpus_id)}{REPORT_NAME}"))
    return CorpusReport.model_validate_json(stored)
