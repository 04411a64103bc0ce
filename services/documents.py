"""The documents of a corpus, and the report on what became of every record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from core.errors import BadData
from corpora.documents import REPORT_NAME, Document, iter_documents
from corpora.report import CorpusReport
from db.repositories.scope import Page
from storage import keys
from storage.base import Store


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report, and the digest of its bytes."""

    content: CorpusReport
    sha256: str


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


def report(store: Store, corpus_id: str) -> StoredReport:
    """The report of a corpus that is ready.

    Raises:
        BadData: it is damaged, or another version of the service wrote it.
    """
    stored = b"".join(store.open(f"{keys.corpus(corpus_id)}{REPORT_NAME}"))
    try:
        content = CorpusReport.model_validate_json(stored)
    except ValidationError as error:
        raise BadData(
            f"The report of corpus {corpus_id!r} cannot be read; it is damaged, or was written by "
            "another version of the service.",
            code="corpus_damaged",
        ) from error
    return StoredReport(content, hashlib.sha256(stored).hexdigest())
