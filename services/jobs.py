"""Jobs: asked for. What becomes of one later is in ``services.job_changes`` and `job_runs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core import resolve
from core.errors import InvalidRequest
from core.ids import new_id
from core.job_request import JobRequest, TokenizerRequest
from core.lifecycle import WorkKind
from db.tables import Checkpoint, Corpus, Job, Tokenizer
from db.unit_of_work import UnitOfWork
from services import continuation, job_needs, readiness, tokenizers, work
from services.doorbell import Doorbell

USAGE_OF_NOTHING: Final[Mapping[str, Any]] = {"device_seconds": 0.0, "tokens": 0, "flops": 0}


def create(
    uow: UnitOfWork, request: JobRequest, *, doorbell: Doorbell, max_devices: int = 1
) -> Job:
    """Accept a job. It waits for its corpora, tokenizer and datasets that are still being made.

    Args:
        uow: Of the project that asks.
        request: What it asks for.
        doorbell: Rung once there is something to do.
        max_devices: What the largest worker of this service has.

    Raises:
        InvalidRequest: the parts of the request do not fit together, or not its data.
        NotFound: there is no such corpus, tokenizer or checkpoint.
        Conflict: a corpus or the tokenizer has failed, or the checkpoint cannot be used.
    """
    _refuse_too_many_devices(request.resources.devices, most=max_devices)
    start = _start_for(uow, request)
    resolve.check(request, start=None if start is None else continuation.facts_of(uow, start))
    corpora = _corpora_for(uow, request)
    main = next(corpus for corpus in corpora if corpus.id == request.main_corpus)
    if start is None:
        tokenizer = _tokenizer_for(uow, request.tokenizer, main, doorbell=doorbell)
    else:
        tokenizer = continuation.tokenizer_for(uow, start, request.tokenizer)
    job_id = new_id("job")
    job = Job(
        id=job_id,
        name=request.name or job_id,
        tokenizer_id=tokenizer.id,
        start_checkpoint_id=None if start is None else start.id,
        request=request.as_stored(),
        priority=request.priority,
        max_attempts=request.max_attempts,
        usage=dict(USAGE_OF_NOTHING),
        metadata_=dict(request.metadata),
    )
    waiting_for = job_needs.prepare(
        uow, job, corpora=corpora, tokenizer=tokenizer, doorbell=doorbell
    )
    uow.jobs.add_with_corpora(job, [corpus.id for corpus in corpora])
    work.add(
        uow,
        kind=WorkKind.JOB,
        subject_id=job.id,
        devices=request.resources.devices,
        priority=request.priority,
        waiting_for=waiting_for,
        max_attempts=request.max_attempts,
        doorbell=doorbell,
    )
    uow.record_event("job.queued", message=f"Job {job.name!r} is queued.", job_id=job.id)
    return job


def _refuse_too_many_devices(wanted: int, *, most: int) -> None:
    """No worker would ever take such a job, and it would wait for ever."""
    if wanted > most:
        raise InvalidRequest(
            f"resources.devices: this service's workers have {most} (got {wanted}). Ask for fewer; "
            "an operator says with PRETRAINER_NUM_DEVICES how many they have.",
            code="invalid_value",
            param="resources.devices",
        )


def _start_for(uow: UnitOfWork, request: JobRequest) -> Checkpoint | None:
    """The checkpoint that the request goes on from, locked: until the job is known it must stay."""
    checkpoint_id = request.model.from_checkpoint
    return None if checkpoint_id is None else continuation.lock_start(uow, checkpoint_id)


def _corpora_for(uow: UnitOfWork, request: JobRequest) -> list[Corpus]:
    """The corpora of a request in their order, locked in the order of their ids."""
    wanted = list(request.corpus_shares)
    locked = {id_: uow.corpora.get(id_, lock=True, param="corpus") for id_ in sorted(wanted)}
    corpora = [locked[id_] for id_ in wanted]
    for corpus in corpora:
        readiness.refuse_failed(corpus, param="corpus")
    return corpora


def _tokenizer_for(
    uow: UnitOfWork, wanted: TokenizerRequest | None, corpus: Corpus, *, doorbell: Doorbell
) -> Tokenizer:
    if wanted is not None and wanted.id is not None:
        tokenizer = uow.tokenizers.get(wanted.id, lock=True, param="tokenizer")
    elif wanted is not None and not wanted.is_default:
        return tokenizers.find_or_create(
            uow,
            corpus,
            vocab_size=wanted.vocab_size,
            algorithm=wanted.algorithm,
            doorbell=doorbell,
        )
    else:
        tokenizer = uow.tokenizers.get(corpus.default_tokenizer_id or "", lock=True)
    readiness.refuse_failed(tokenizer, param="tokenizer")
    return tokenizer
