"""Corpora: asked for and deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from core.corpus_options import CorpusOptions
from core.errors import Conflict, InvalidRequest, NotFound
from core.ids import new_id
from core.lifecycle import ResourceStatus, WorkKind
from db.tables import Corpus, Tokenizer
from db.unit_of_work import UnitOfWork
from services import datasets, pieces, readiness, work
from services.doorbell import Doorbell
from services.tokenizers import DEFAULT_ALGORITHM
from storage import keys
from storage.base import Store


def create(
    uow: UnitOfWork,
    *,
    name: str | None = None,
    file_ids: Sequence[str],
    options: CorpusOptions,
    extends: str | None = None,
    metadata: Mapping[str, str] | None = None,
    doorbell: Doorbell,
) -> Corpus:
    """Ask for a corpus made of files. Its default tokenizer is made with it.

    Args:
        uow: The transaction.
        name: For people; the id if there is none.
        file_ids: What to read.
        options: How to make it. With ``extends``, those that are set must be the base's.
        extends: The corpus whose documents the new one has as well; they are not read again.
        metadata: The user's own pairs.
        doorbell: Wakes a worker.

    Raises:
        InvalidRequest: no file, one twice, one that the base has already, or other options than
            the base's.
        NotFound: one of the files, or the base, does not exist.
        Conflict: the base has failed.
    """
    base = None if extends is None else _base(uow, extends, options)
    inherited = [] if base is None else uow.corpora.file_ids(base.id)
    _check_files(uow, file_ids, inherited=inherited)
    settled = options if base is None else _options_of(base)
    _check_evaluation_file(uow, settled)
    corpus_id, tokenizer_id = new_id("corpus"), new_id("tokenizer")
    corpus = uow.corpora.add_with_files(
        Corpus(
            id=corpus_id,
            name=name or corpus_id,
            options=settled.model_dump(mode="json"),
            default_tokenizer_id=tokenizer_id,
            extends_id=extends,
            evaluation_file_id=settled.clean.decontaminate,
            metadata_=dict(metadata or {}),
        ),
        file_ids,
        inherited=inherited,
    )
    uow.tokenizers.add(
        Tokenizer(
            id=tokenizer_id,
            name=f"{corpus.name} (default)",
            corpus_id=corpus_id,
            algorithm=DEFAULT_ALGORITHM,
            is_default=True,
        )
    )
    is_waiting = base is not None and base.status is not ResourceStatus.READY
    work.add(
        uow,
        kind=WorkKind.CORPUS,
        subject_id=corpus_id,
        waiting_for=extends if is_waiting else None,
        doorbell=doorbell,
    )
    return corpus


def delete(uow: UnitOfWork, corpus_id: str, *, store: Store) -> None:
    """Delete a corpus, its encodings and its default tokenizer; the bytes go after the commit.

    What another corpus shares with it, pieces or an encoding of equal content, stays.

    Raises:
        NotFound: there is no such corpus.
        Conflict: an unfinished job, a tokenizer that is being made, or a corpus that is being made
            from it needs it.
    """
    known_work = uow.work.find_for(corpus_id, lock=True)
    corpus = uow.corpora.get(corpus_id, lock=True)
    default = uow.tokenizers.find(corpus.default_tokenizer_id or "")
    _refuse_if_needed(uow, corpus)
    if known_work is not None:
        uow.work.delete(known_work)  # a runner that is at it loses its lease
    prefixes = [keys.corpus(corpus_id), *pieces.release(uow, corpus_id)]
    unneeded = datasets.of_this_corpus_alone(uow, corpus)
    if default is not None:
        unneeded += datasets.of_this_tokenizer_alone(uow, default)
    for dataset in unneeded:
        datasets.delete(uow, dataset, store=store)
    if default is not None:
        uow.tokenizers.delete(default)
        prefixes.append(keys.tokenizer(default.id))
    uow.corpora.delete(corpus)

    def delete_bytes() -> None:
        for prefix in prefixes:
            store.delete_prefix(prefix)

    uow.after_commit(delete_bytes)


def _base(uow: UnitOfWork, corpus_id: str, options: CorpusOptions) -> Corpus:
    """The corpus to extend, locked so that it stays until the new one refers to it."""
    base = uow.corpora.get(corpus_id, lock=True, param="extends")
    readiness.refuse_failed(base, param="extends")
    settled = _options_of(base)
    for field in sorted(options.model_fields_set):
        if getattr(options, field) != getattr(settled, field):
            raise InvalidRequest(
                f"{field}: corpus {corpus_id!r} was made with "
                f"{json.dumps(base.options[field])}, and what extends it is made the same way. "
                f"Leave {field} out.",
                param=field,
            )
    return base


def _options_of(corpus: Corpus) -> CorpusOptions:
    return CorpusOptions.model_validate_json(json.dumps(corpus.options))


def _check_files(uow: UnitOfWork, file_ids: Sequence[str], *, inherited: Sequence[str]) -> None:
    if not file_ids:
        raise InvalidRequest("A corpus needs at least one file.", param="files")
    if len(set(file_ids)) < len(file_ids):
        raise InvalidRequest("A file is listed twice.", param="files")
    again = sorted(set(file_ids) & set(inherited))
    if again:
        raise InvalidRequest(
            f"File {again[0]!r} is in the corpus already; list only what is new.", param="files"
        )
    known = uow.files.get_many(file_ids)
    missing = [file_id for file_id in file_ids if file_id not in known]
    if missing:
        raise NotFound(f"There is no file {missing[0]!r}.", param="files")


def _check_evaluation_file(uow: UnitOfWork, options: CorpusOptions) -> None:
    file_id = options.clean.decontaminate
    if file_id is not None and uow.files.find(file_id, lock=True) is None:
        raise NotFound(f"There is no file {file_id!r}.", param="clean.decontaminate")


def _refuse_if_needed(uow: UnitOfWork, corpus: Corpus) -> None:
    jobs = uow.jobs.unfinished_with(corpus_id=corpus.id)
    if not jobs and corpus.default_tokenizer_id is not None:
        jobs = uow.jobs.unfinished_with(tokenizer_id=corpus.default_tokenizer_id)
    if jobs:
        raise Conflict(
            f"Corpus {corpus.id!r} is needed by job {jobs[0].id!r}, which has not ended.",
            code="corpus_in_use",
        )
    extensions = uow.corpora.extensions_in_the_making(corpus.id)
    if extensions:
        raise Conflict(
            f"Corpus {corpus.id!r} is needed by corpus {extensions[0].id!r}, which extends it and "
            "is still being made.",
            code="corpus_in_use",
        )
    for tokenizer in uow.tokenizers.of_corpus(corpus.id):
        is_waiting = tokenizer.status in {ResourceStatus.QUEUED, ResourceStatus.PROCESSING}
        if is_waiting and not tokenizer.is_default:
            raise Conflict(
                f"Corpus {corpus.id!r} is needed by tokenizer {tokenizer.id!r}, which is still "
                "being made.",
                code="corpus_in_use",
            )
