"""Corpora: asked for and deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.corpus_options import CorpusOptions
from core.errors import Conflict, InvalidRequest, NotFound
from core.ids import new_id
from core.lifecycle import ResourceStatus, WorkKind
from db.tables import Corpus, Tokenizer
from db.unit_of_work import UnitOfWork
from services import work
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
    metadata: Mapping[str, str] | None = None,
    doorbell: Doorbell,
) -> Corpus:
    """Ask for a corpus made of files. Its default tokenizer is made with it.

    Raises:
        InvalidRequest: no file, or one twice.
        NotFound: one of the files does not exist.
    """
    _check_files(uow, file_ids)
    corpus_id, tokenizer_id = new_id("corpus"), new_id("tokenizer")
    corpus = uow.corpora.add_with_files(
        Corpus(
            id=corpus_id,
            name=name or corpus_id,
            options=options.model_dump(mode="json"),
            default_tokenizer_id=tokenizer_id,
            metadata_=dict(metadata or {}),
        ),
        file_ids,
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
    work.add(uow, kind=WorkKind.CORPUS, subject_id=corpus_id, doorbell=doorbell)
    return corpus


def delete(uow: UnitOfWork, corpus_id: str, *, store: Store) -> None:
    """Delete a corpus, its encodings and its default tokenizer; the bytes go after the commit.

    Raises:
        NotFound: there is no such corpus.
        Conflict: an unfinished job or a tokenizer that is being made needs it.
    """
    known_work = uow.work.find_for(corpus_id, lock=True)
    corpus = uow.corpora.get(corpus_id, lock=True)
    default = uow.tokenizers.find(corpus.default_tokenizer_id or "")
    _refuse_if_needed(uow, corpus)
    prefixes = [keys.corpus(corpus_id)]
    for dataset in uow.datasets.of_corpus(corpus_id):
        uow.datasets.delete(dataset)
        if not uow.datasets.is_stored_for_others(dataset.prefix):
            prefixes.append(dataset.prefix)
    if default is not None:
        uow.tokenizers.delete(default)
        prefixes.append(keys.tokenizer(default.id))
    if known_work is not None:
        uow.work.delete(known_work)  # a runner that is at it loses its lease
    uow.corpora.delete(corpus)

    def delete_bytes() -> None:
        for prefix in prefixes:
            store.delete_prefix(prefix)

    uow.after_commit(delete_bytes)


def _check_files(uow: UnitOfWork, file_ids: Sequence[str]) -> None:
    if not file_ids:
        raise InvalidRequest("A corpus needs at least one file.", param="files")
    if len(set(file_ids)) < len(file_ids):
        raise InvalidRequest("A file is listed twice.", param="files")
    known = uow.files.get_many(file_ids)
    missing = [file_id for file_id in file_ids if file_id not in known]
    if missing:
        raise NotFound(f"There is no file {missing[0]!r}.", param="files")


def _refuse_if_needed(uow: UnitOfWork, corpus: Corpus) -> None:
    jobs = uow.jobs.unfinished_with(corpus_id=corpus.id)
    if not jobs and corpus.default_tokenizer_id is not None:
        jobs = uow.jobs.unfinished_with(tokenizer_id=corpus.default_tokenizer_id)
    if jobs:
        raise Conflict(
            f"Corpus {corpus.id!r} is needed by job {jobs[0].id!r}, which has not ended.",
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
