"""What is made of uploads and of each other, as workers see it: begun, moved on, ready or failed.

What waits for them goes on, or fails with them, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.errors import Conflict
from core.lifecycle import CheckpointStatus, ResourceStatus, WorkKind
from db.tables import Checkpoint, Corpus, Dataset, Tokenizer, Work
from db.unit_of_work import UnitOfWork
from services import attempts, datasets, job_endings, job_needs, pieces, work
from services.attempts import Claim
from services.doorbell import Doorbell

_FIELDS: Final = {WorkKind.DATASET: "corpus"}
"""The field of a request that something failed to be made for, where it has another name."""

Subject = Corpus | Tokenizer | Dataset | Checkpoint
"""What is made."""


@dataclass(frozen=True, slots=True)
class MadeTokenizer:
    """A tokenizer whose bytes are in the store."""

    vocab_size: int
    sha256: str
    stats: Mapping[str, Any] | None
    """None for an uploaded one that was given no corpus to be measured on."""
    algorithm: str | None = None
    """What an uploaded one turned out to be."""


@dataclass(frozen=True, slots=True)
class MadeCorpus:
    """A corpus whose documents are in the store."""

    digest: str
    stats: Mapping[str, Any]
    splits: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MadeDataset:
    """A dataset whose shards and manifest are in the store, under the prefix of its row."""

    id: str
    manifest: Mapping[str, Any]
    """With the libraries that encoded it, ``encoders``; the ids do not depend on them."""


def start(uow: UnitOfWork, claim: Claim) -> Subject:
    """An attempt begins."""
    uow.work.require(claim.work_id, fence=claim.fence)
    subject = _subject(uow, claim.kind, claim.subject_id)
    _become(subject, ResourceStatus.PROCESSING)
    if isinstance(subject, Corpus | Tokenizer):
        subject.progress = 0.0
    return subject


def advance(
    uow: UnitOfWork,
    claim: Claim,
    *,
    stage: str,
    fraction: float,
    processing: Mapping[str, Any] | None = None,
    tells: bool = False,
) -> None:
    """Write how far it is.

    Args:
        uow: The transaction.
        claim: Ours.
        stage: What is being done to a corpus.
        fraction: From 0 to 1, over everything.
        processing: How far the present stage of a corpus is; see ``api.schemas.corpora``.
        tells: Whether to leave an event as well.
    """
    uow.work.require(claim.work_id, fence=claim.fence)
    subject = _subject(uow, claim.kind, claim.subject_id)
    if not isinstance(subject, Corpus | Tokenizer):
        return
    subject.progress = fraction
    if isinstance(subject, Corpus):
        subject.stage = stage
        subject.processing = None if processing is None else dict(processing)
        if tells:
            _tell_progress(uow, subject)


def assembled(uow: UnitOfWork, claim: Claim, *, digest: str) -> None:
    """The documents of a corpus are in the store: the attempts so far are forgiven, once.

    From now on it is known what the corpus contains, so that a dataset of equal content stays for
    it, whoever else goes.
    """
    task = uow.work.require(claim.work_id, fence=claim.fence)
    corpus = uow.corpora.get(claim.subject_id, lock=True)
    if corpus.digest is None:
        corpus.digest = digest
        attempts.bears_fruit(task)


def finish_default_tokenizer(uow: UnitOfWork, claim: Claim, made: MadeTokenizer) -> None:
    """The tokenizer that comes with a corpus is ready, a while before the corpus is."""
    attempts.bears_fruit(uow.work.require(claim.work_id, fence=claim.fence))
    corpus = uow.corpora.get(claim.subject_id)
    row = uow.tokenizers.get(corpus.default_tokenizer_id or "", lock=True)
    _tokenizer_is_ready(uow, row, made)


def finish_corpus(
    uow: UnitOfWork,
    claim: Claim,
    *,
    corpus: MadeCorpus,
    dataset: MadeDataset,
    doorbell: Doorbell,
) -> None:
    """The corpus is ready, as its default tokenizer and their dataset are; what waits goes on.

    Raises:
        LeaseLost: the work is not ours any more, or the dataset was deleted meanwhile.
    """
    uow.work.require(claim.work_id, fence=claim.fence)
    row = uow.corpora.get(claim.subject_id, lock=True)
    row.status = ResourceStatus.READY
    row.progress = 1.0
    row.stage = None
    row.processing = None
    row.digest = corpus.digest
    row.stats = dict(corpus.stats)
    row.splits = dict(corpus.splits)
    row.ready_at = uow.now()
    _dataset_is_ready(uow, claim, dataset)
    uow.record_event(
        "corpus.ready",
        message=f"Corpus {row.name!r} is ready.",
        data={
            "corpus": row.id,
            "default_tokenizer": row.default_tokenizer_id,
            "encoders": dataset.manifest.get("encoders"),
            "stats": row.stats,
        },
    )
    _complete(uow, claim, doorbell=doorbell)


def finish_tokenizer(
    uow: UnitOfWork, claim: Claim, *, tokenizer: MadeTokenizer, doorbell: Doorbell
) -> None:
    """The tokenizer is ready; what waits goes on."""
    uow.work.require(claim.work_id, fence=claim.fence)
    row = uow.tokenizers.get(claim.subject_id, lock=True)
    _tokenizer_is_ready(uow, row, tokenizer)
    _complete(uow, claim, doorbell=doorbell)


def finish_dataset(
    uow: UnitOfWork, claim: Claim, *, dataset: MadeDataset, doorbell: Doorbell
) -> None:
    """The dataset is ready; the jobs that wait go on."""
    uow.work.require(claim.work_id, fence=claim.fence)
    row = _dataset_is_ready(uow, claim, dataset)
    uow.record_event(
        "dataset.ready",
        message=f"Corpus {row.corpus_id} is encoded by tokenizer {row.tokenizer_id}.",
        data={
            "corpus": row.corpus_id,
            "tokenizer": row.tokenizer_id,
            "encoders": dataset.manifest.get("encoders"),
            "num_train_tokens": row.num_train_tokens,
        },
    )
    _complete(uow, claim, doorbell=doorbell)


def fail(
    uow: UnitOfWork,
    claim: Claim,
    *,
    code: str,
    message: str,
    param: str | None = None,
    exit_code: int | None = None,
) -> None:
    """It cannot be made, nor can what waits for it."""
    attempts.fail(uow, claim, cause=message, exit_code=exit_code)
    _fail_subject(uow, claim.kind, claim.subject_id, code=code, message=message, param=param)


def leave(
    uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell, exit_code: int | None = None
) -> None:
    """This worker was asked to go; another begins anew."""
    task = attempts.give_back(uow, claim, exit_code=exit_code)
    _become(_subject(uow, claim.kind, claim.subject_id), ResourceStatus.QUEUED)
    work.announce(uow, [task], doorbell=doorbell)


def settle_lost(uow: UnitOfWork, task: Work, *, cause: str, delay_after: int) -> None:
    """An attempt ended without a result: try again later, or give up.

    Args:
        uow: The transaction.
        task: The work, locked, still under the lost attempt's fence.
        cause: What is known about the end.
        delay_after: The number of fruitless attempts that the rest before the next follows.
    """
    if attempts.rest(uow, task, delay_after=delay_after):
        _become(_subject(uow, task.kind, task.subject_id), ResourceStatus.QUEUED)
    else:
        message = attempts.exhausted(task, cause=cause)
        _fail_subject(uow, task.kind, task.subject_id, code="too_many_attempts", message=message)


def _subject(uow: UnitOfWork, kind: WorkKind, subject_id: str) -> Subject:
    match kind:
        case WorkKind.CORPUS:
            return uow.corpora.get(subject_id, lock=True)
        case WorkKind.TOKENIZER:
            return uow.tokenizers.get(subject_id, lock=True)
        case WorkKind.CHECKPOINT:
            return uow.checkpoints.get(subject_id, lock=True)
        case _:
            return uow.datasets.get(subject_id, lock=True)


def _become(subject: Subject, status: ResourceStatus) -> None:
    if isinstance(subject, Checkpoint):
        subject.status = CheckpointStatus(status.value)
    else:
        subject.status = status


def _tell_progress(uow: UnitOfWork, corpus: Corpus) -> None:
    uow.record_event(
        "corpus.progress",
        message=f"Corpus {corpus.name!r}: {corpus.stage}, {corpus.progress:.0%} of all",
        data={
            "corpus": corpus.id,
            "progress": corpus.progress,
            "stage": corpus.stage,
            **(corpus.processing or {}),
        },
    )


def _tokenizer_is_ready(uow: UnitOfWork, row: Tokenizer, made: MadeTokenizer) -> None:
    row.status = ResourceStatus.READY
    row.progress = 1.0
    row.vocab_size = made.vocab_size
    row.sha256 = made.sha256
    row.stats = None if made.stats is None else dict(made.stats)
    row.algorithm = made.algorithm or row.algorithm
    uow.record_event(
        "tokenizer.ready",
        message=f"Tokenizer {row.name!r} is ready.",
        data={"tokenizer": row.id, "corpus": row.corpus_id, "vocab_size": row.vocab_size},
    )


def _dataset_is_ready(uow: UnitOfWork, claim: Claim, made: MadeDataset) -> Dataset:
    """The pieces that the holder of the claim has had encoded are a dataset now."""
    row = datasets.finish(uow, made.id, manifest=made.manifest)
    pieces.forget_encoding(uow, claim.subject_id)
    return row


def _complete(uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell) -> None:
    """The attempt has done its work; what waits for the result goes on."""
    attempts.complete(uow, claim)
    _let_go(uow, claim.subject_id, doorbell=doorbell)


def _let_go(uow: UnitOfWork, resource_id: str, *, doorbell: Doorbell) -> None:
    """What waited for a resource can be claimed, or waits for the next."""
    released = uow.work.unblock(resource_id)
    for task in released:
        if task.kind is WorkKind.JOB:
            job_needs.go_on_waiting_or_start(uow, task, doorbell=doorbell)
    work.announce(uow, released, doorbell=doorbell)


def _fail_subject(
    uow: UnitOfWork,
    kind: WorkKind,
    subject_id: str,
    *,
    code: str,
    message: str,
    param: str | None = None,
) -> None:
    subject = _subject(uow, kind, subject_id)
    error = {"code": code, "message": message, "param": param}
    if isinstance(subject, Dataset):
        pieces.forget_encoding(uow, subject_id)
        uow.datasets.delete(subject)  # whoever needs it next asks anew
    else:
        _become(subject, ResourceStatus.FAILED)
        subject.error = error
        if isinstance(subject, Corpus):
            _fail_corpus(uow, subject)
        _tell_failure(uow, kind, subject, error)
    _fail_waiting(uow, kind, subject_id, message=message)


def _tell_failure(
    uow: UnitOfWork, kind: WorkKind, subject: Corpus | Tokenizer | Checkpoint, error: dict[str, Any]
) -> None:
    uow.record_event(
        f"{kind}.failed",
        message=error["message"],
        level="error",
        data={kind.value: subject.id, "error": error},
    )


def _fail_corpus(uow: UnitOfWork, corpus: Corpus) -> None:
    """What was made of it goes; the reconciler collects the bytes."""
    corpus.stage = None
    corpus.processing = None
    default = uow.tokenizers.find(corpus.default_tokenizer_id or "", lock=True)
    if default is not None:
        default.status = ResourceStatus.FAILED
        default.error = corpus.error
    pieces.release(uow, corpus.id)
    for dataset in datasets.of_this_corpus_alone(uow, corpus):
        uow.datasets.delete(dataset)
    corpus.digest = None


def _fail_waiting(uow: UnitOfWork, kind: WorkKind, resource_id: str, *, message: str) -> None:
    error = Conflict(
        f"{kind.value.capitalize()} {resource_id!r} has failed: {message}",
        code=f"{kind}_failed",
        param=_FIELDS.get(kind, kind.value),
    )
    for task in uow.work.waiting_for(resource_id):
        if task.kind is WorkKind.JOB:
            job_endings.fail_unowned(uow, uow.jobs.get(task.subject_id, lock=True), task, error)
        elif uow.work.finish_unowned(task.id):
            _fail_subject(
                uow,
                task.kind,
                task.subject_id,
                code=error.error_code,
                message=error.message,
                param="extends" if task.kind is WorkKind.CORPUS else error.param,
            )
