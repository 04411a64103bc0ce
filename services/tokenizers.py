"""Tokenizers: asked for, used again, deleted."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Conflict
from core.ids import new_id
from core.lifecycle import ResourceStatus, WorkKind
from corpora.tokenizer_upload import check_length
from db.tables import Corpus, Tokenizer
from db.unit_of_work import UnitOfWork
from services import datasets, readiness, work
from services.doorbell import Doorbell
from storage import keys
from storage.base import Store

DEFAULT_ALGORITHM = "bpe"
UNKNOWN_ALGORITHM = "unknown"
"""Of an uploaded tokenizer that has not been checked yet."""


def create(
    uow: UnitOfWork,
    *,
    corpus_id: str,
    vocab_size: int | None,
    algorithm: str = DEFAULT_ALGORITHM,
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
    doorbell: Doorbell,
) -> Tokenizer:
    """Ask for a new tokenizer, made from a corpus as soon as that is ready.

    Raises:
        NotFound: there is no such corpus.
        Conflict: the corpus has failed.
    """
    corpus = uow.corpora.get(corpus_id, lock=True, param="corpus")
    return _add(
        uow,
        corpus,
        vocab_size=vocab_size,
        algorithm=algorithm,
        name=name,
        metadata=metadata,
        doorbell=doorbell,
    )


def create_from_file(
    uow: UnitOfWork,
    *,
    file_id: str,
    corpus_id: str | None = None,
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
    doorbell: Doorbell,
) -> Tokenizer:
    """Ask for an uploaded `tokenizer.json` to be checked and taken.

    With a corpus it is measured on that, as soon as the corpus is ready.

    Raises:
        NotFound: there is no such file or corpus.
        BadData: the file is longer than any tokenizer.
        Conflict: the corpus has failed.
    """
    corpus = None
    if corpus_id is not None:
        corpus = uow.corpora.get(corpus_id, lock=True, param="corpus")
        readiness.refuse_failed(corpus, param="corpus")
    file = uow.files.get(file_id, lock=True, param="file")
    check_length(file.num_bytes)  # before a worker copies gigabytes
    identifier = new_id("tokenizer")
    tokenizer = uow.tokenizers.add(
        Tokenizer(
            id=identifier,
            name=name or identifier,
            corpus_id=corpus_id,
            file_id=file.id,
            algorithm=UNKNOWN_ALGORITHM,
            metadata_=dict(metadata or {}),
        )
    )
    is_waiting = corpus is not None and corpus.status is not ResourceStatus.READY
    work.add(
        uow,
        kind=WorkKind.TOKENIZER,
        subject_id=tokenizer.id,
        waiting_for=corpus_id if is_waiting else None,
        doorbell=doorbell,
    )
    return tokenizer


def find_or_create(
    uow: UnitOfWork, corpus: Corpus, *, vocab_size: int | None, algorithm: str, doorbell: Doorbell
) -> Tokenizer:
    """The tokenizer of this recipe, new only if there is none; locked with its corpus.

    Raises:
        Conflict: the corpus has failed.
    """
    known = uow.tokenizers.find_made(
        corpus_id=corpus.id, algorithm=algorithm, vocab_size=vocab_size
    )
    if known is not None:
        return uow.tokenizers.get(known.id, lock=True)
    return _add(uow, corpus, vocab_size=vocab_size, algorithm=algorithm, doorbell=doorbell)


def delete(uow: UnitOfWork, tokenizer_id: str, *, store: Store) -> None:
    """Delete a tokenizer and what only it has encoded; the bytes go after the commit.

    Raises:
        NotFound: there is no such tokenizer.
        Conflict: an unfinished job needs it, or it is its corpus's default one.
    """
    known_work = uow.work.find_for(tokenizer_id, lock=True)
    tokenizer = uow.tokenizers.get(tokenizer_id, lock=True)
    if tokenizer.is_default and uow.corpora.find(tokenizer.corpus_id or "") is not None:
        raise Conflict(
            f"Tokenizer {tokenizer_id!r} is the default one of corpus {tokenizer.corpus_id!r} and "
            "goes with it.",
            code="tokenizer_in_use",
        )
    jobs = uow.jobs.unfinished_with(tokenizer_id=tokenizer_id)
    if jobs:
        raise Conflict(
            f"Tokenizer {tokenizer_id!r} is needed by job {jobs[0].id!r}, which has not ended.",
            code="tokenizer_in_use",
        )
    if known_work is not None:
        uow.work.delete(known_work)  # a runner that is at it loses its lease
    for dataset in datasets.of_this_tokenizer_alone(uow, tokenizer):
        datasets.delete(uow, dataset, store=store)
    uow.tokenizers.delete(tokenizer)
    uow.after_commit(lambda: store.delete_prefix(keys.tokenizer(tokenizer_id)))


def _add(
    uow: UnitOfWork,
    corpus: Corpus,
    *,
    vocab_size: int | None,
    algorithm: str,
    doorbell: Doorbell,
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Tokenizer:
    readiness.refuse_failed(corpus, param="corpus")
    identifier = new_id("tokenizer")
    tokenizer = uow.tokenizers.add(
        Tokenizer(
            id=identifier,
            name=name or identifier,
            corpus_id=corpus.id,
            algorithm=algorithm,
            requested_vocab_size=vocab_size,
            metadata_=dict(metadata or {}),
        )
    )
    work.add(
        uow,
        kind=WorkKind.TOKENIZER,
        subject_id=tokenizer.id,
        waiting_for=None if corpus.status is ResourceStatus.READY else corpus.id,
        doorbell=doorbell,
    )
    return tokenizer
