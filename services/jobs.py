"""Jobs: what users ask of them, and the changes of state that more than one side makes.

What workers report about a job that runs is in ``services.job_runs``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core import resolve
from core.errors import Conflict, InvalidRequest, PretrainerError
from core.ids import new_id
from core.job_request import JobRequest, TokenizerRequest
from core.lifecycle import DesiredStatus, JobStatus, PieceStage, ResourceStatus, WorkKind
from core.resolve import CorpusFacts
from core.sizing import num_parameters
from core.spec import JobSpec
from db.tables import Checkpoint, Corpus, Job, Tokenizer, Work
from db.unit_of_work import UnitOfWork
from services import attempts, continuation, datasets, readiness, tokenizers, work
from services.doorbell import Doorbell

_WISHES: Final = {
    DesiredStatus.CANCELLED: "is being cancelled",
    DesiredStatus.PAUSED: "is being paused",
}
"""What a running job says until its worker has heard of the wish."""
USAGE_OF_NOTHING: Final[Mapping[str, Any]] = {"device_seconds": 0.0, "tokens": 0, "flops": 0}
_PARTICIPLES: Final[Mapping[JobStatus, str]] = {
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "been cancelled",
}
"""How a job that has ended is spoken of."""


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a queued job stands and why it has not begun."""

    position: int
    """1 is next."""
    jobs_ahead: int
    waiting_reason: str


def create(uow: UnitOfWork, request: JobRequest, *, doorbell: Doorbell) -> Job:
    """Accept a job. It waits for its corpora, tokenizer and datasets that are still being made.

    Raises:
        InvalidRequest: the parts of the request do not fit together, or not its data.
        NotFound: there is no such corpus, tokenizer or checkpoint.
        Conflict: a corpus or the tokenizer has failed, or the checkpoint cannot be used.
    """
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
    missing = _first_missing(corpora, tokenizer)
    if missing is None:
        _settle_spec(uow, job, request, corpora=corpora, tokenizer=tokenizer)
        missing = missing_dataset(uow, corpora, tokenizer, doorbell=doorbell)
    uow.jobs.add_with_corpora(job, [corpus.id for corpus in corpora])
    work.add(
        uow,
        kind=WorkKind.JOB,
        subject_id=job.id,
        devices=request.resources.devices,
        priority=request.priority,
        waiting_for=missing,
        max_attempts=request.max_attempts,
        doorbell=doorbell,
    )
    uow.record_event("job.queued", message=f"Job {job.name!r} is queued.", job_id=job.id)
    return job


def cancel(uow: UnitOfWork, job_id: str) -> Job:
    """Stop a job for good: at once if nobody works on it, else as soon as the worker hears of it.

    Cancelling once more changes nothing.

    Raises:
        NotFound: there is no such job.
        Conflict: it has ended already (``job_already_finished``).
    """
    job, task = _lock(uow, job_id)
    if job.status is JobStatus.CANCELLED:
        return job
    refuse_if_finished(job)
    _wish(uow, job, task, DesiredStatus.CANCELLED)
    if uow.work.finish_unowned(task.id):
        attempts.close_abandoned(uow, job.id, cause="the job was cancelled")
        end_cancelled(uow, job)
    return job


def pause(uow: UnitOfWork, job_id: str) -> Job:
    """Take a job off its device, saved, until someone resumes it.

    Pausing once more changes nothing.

    Raises:
        NotFound: there is no such job.
        Conflict: it has ended already (``job_already_finished``) or is being cancelled
            (``job_is_cancelling``).
    """
    job, task = _lock(uow, job_id)
    refuse_if_finished(job)
    _refuse_if_cancelling(job)
    _wish(uow, job, task, DesiredStatus.PAUSED)
    if job.status is JobStatus.QUEUED:
        end_paused(uow, job, reason="paused by the user")
    return job


def resume(uow: UnitOfWork, job_id: str, *, doorbell: Doorbell) -> Job:
    """Queue a paused job again.

    Raises:
        NotFound: there is no such job.
        Conflict: it has ended (``job_already_finished``), is being cancelled
            (``job_is_cancelling``) or is not paused (``job_not_paused``).
    """
    job, task = _lock(uow, job_id)
    refuse_if_finished(job)
    _refuse_if_cancelling(job)
    if job.desired_status is not DesiredStatus.PAUSED and job.status is not JobStatus.PAUSED:
        raise Conflict(f"Job {job_id!r} is {job.status}, not paused.", code="job_not_paused")
    _wish(uow, job, task, DesiredStatus.RUNNING)
    if job.status is JobStatus.PAUSED:
        job.status = JobStatus.QUEUED
        job.status_reason = None
        task.num_fruitless = 0
        task.not_before = None
        uow.record_event("job.resumed", message=f"Job {job.name!r} is queued again.", job_id=job.id)
        work.announce(uow, [task], doorbell=doorbell)
    return job


def queue_place(uow: UnitOfWork, job: Job) -> QueuePlace | None:
    """Where a job stands in its queue; None unless it is queued."""
    if job.status is not JobStatus.QUEUED:
        return None
    task = uow.work.find_for(job.id)
    if task is None:
        return None
    ahead = uow.work.jobs_ahead(task)
    return QueuePlace(
        position=ahead + 1, jobs_ahead=ahead, waiting_reason=_waiting_reason(uow, task)
    )


def go_on_waiting_or_start(uow: UnitOfWork, task: Work, *, doorbell: Doorbell) -> None:
    """What a job has waited for is ready: wait for what is missing next, or settle the spec.

    A request that turns out not to fit its data fails the job, and so does a corpus of a mixture
    that failed while the job waited for another.
    """
    job = uow.jobs.get(task.subject_id, lock=True)
    if job.status.is_final:
        return
    corpora = corpora_of(uow, job)
    tokenizer = uow.tokenizers.get(job.tokenizer_id or "")
    try:
        for corpus in corpora:
            readiness.refuse_failed(corpus, param="corpus")
        task.waiting_for = _first_missing(corpora, tokenizer)
        if task.waiting_for is not None:
            return
        if job.spec is None:
            request = JobRequest.model_validate_json(json.dumps(job.request))
            _settle_spec(uow, job, request, corpora=corpora, tokenizer=tokenizer)
    except (Conflict, InvalidRequest) as error:
        fail_unowned(uow, job, task, error)
        return
    task.waiting_for = missing_dataset(uow, corpora, tokenizer, doorbell=doorbell)


def corpora_of(uow: UnitOfWork, job: Job) -> list[Corpus]:
    """The corpora that a job is trained on, in its order; one unless it mixes them."""
    return [uow.corpora.get(corpus_id) for corpus_id in uow.jobs.corpus_ids(job.id)]


def fail_unowned(uow: UnitOfWork, job: Job, task: Work, error: PretrainerError) -> None:
    """Fail a job that nobody works on."""
    if uow.work.finish_unowned(task.id):
        end_failed(uow, job, code=error.error_code, message=error.message, param=error.param)


def end_failed(
    uow: UnitOfWork, job: Job, *, code: str, message: str, param: str | None = None
) -> None:
    """The job will not be tried again."""
    _end(uow, job, JobStatus.FAILED)
    job.error = {"code": code, "message": message, "param": param}
    uow.record_event(
        "job.failed", message=message, level="error", job_id=job.id, data={"error": job.error}
    )


def end_cancelled(uow: UnitOfWork, job: Job) -> None:
    """The user's wish has been fulfilled; the job's checkpoints stay."""
    _end(uow, job, JobStatus.CANCELLED)
    uow.record_event(
        "job.cancelled",
        message=f"Job {job.name!r} is cancelled at step {job.step}.",
        job_id=job.id,
        data={"step": job.step},
    )


def end_paused(uow: UnitOfWork, job: Job, *, reason: str, code: str | None = None) -> None:
    """The job is off its device until someone resumes it."""
    job.status = JobStatus.PAUSED
    job.phase = None
    job.status_reason = reason
    uow.record_event(
        "job.paused",
        message=f"Job {job.name!r} is paused at step {job.step}: {reason}.",
        level="info" if code is None else "warn",
        job_id=job.id,
        data={"step": job.step, "code": code},
    )


def refuse_if_finished(job: Job, *, param: str | None = None) -> None:
    """A job that has ended never changes again.

    Raises:
        Conflict: it has ended (``job_already_finished``); ``param`` names the field that asked.
    """
    if job.status.is_final:
        raise Conflict(
            f"Job {job.id!r} has already {_PARTICIPLES[job.status]}.",
            code="job_already_finished",
            param=param,
        )


def _end(uow: UnitOfWork, job: Job, status: JobStatus) -> None:
    job.status = status
    job.phase = None
    job.status_reason = None
    job.finished_at = uow.now()


def _lock(uow: UnitOfWork, job_id: str) -> tuple[Job, Work]:
    task = uow.work.find_for(job_id, lock=True)
    job = uow.jobs.get(job_id, lock=True)
    assert task is not None  # made and deleted together with its job
    return job, task


def _refuse_if_cancelling(job: Job) -> None:
    if job.desired_status is DesiredStatus.CANCELLED:
        raise Conflict(f"Job {job.id!r} is being cancelled.", code="job_is_cancelling")


def _wish(uow: UnitOfWork, job: Job, task: Work, desired: DesiredStatus) -> None:
    job.desired_status = desired
    if job.status is JobStatus.RUNNING:
        job.status_reason = _WISHES.get(desired)
    uow.work.set_desired(task.id, desired)


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


def _first_missing(corpora: Sequence[Corpus], tokenizer: Tokenizer) -> str | None:
    for corpus in corpora:
        if corpus.status is not ResourceStatus.READY:
            return corpus.id
    return None if tokenizer.status is ResourceStatus.READY else _made_by(tokenizer)


def missing_dataset(
    uow: UnitOfWork, corpora: Sequence[Corpus], tokenizer: Tokenizer, *, doorbell: Doorbell
) -> str | None:
    """The dataset that a job has to wait for first; from now on all that are missing are made."""
    needed = [
        datasets.find_or_ask(uow, corpus=corpus, tokenizer=tokenizer, doorbell=doorbell)
        for corpus in corpora
    ]
    return next((one.id for one in needed if one.status is not ResourceStatus.READY), None)


def _made_by(tokenizer: Tokenizer) -> str:
    """Whose work makes the tokenizer: a default one comes with its corpus."""
    if tokenizer.is_default and tokenizer.corpus_id is not None:
        return tokenizer.corpus_id
    return tokenizer.id


def _settle_spec(
    uow: UnitOfWork,
    job: Job,
    request: JobRequest,
    *,
    corpora: Sequence[Corpus],
    tokenizer: Tokenizer,
) -> None:
    assert tokenizer.vocab_size is not None  # it is ready
    facts = [_facts(uow, corpus, tokenizer) for corpus in corpora]
    start = job.start_checkpoint_id
    resolved = resolve.resolve(
        request,
        corpora=facts,
        tokenizer_id=tokenizer.id,
        vocab_size=tokenizer.vocab_size,
        start=None if start is None else continuation.facts_of(uow, uow.checkpoints.get(start)),
    )
    spec = resolved.spec
    job.spec = spec.model_dump(mode="json")
    job.model = {**spec.model.model_dump(mode="json"), "num_parameters": num_parameters(spec.model)}
    job.warnings = list(resolved.warnings)
    set_length(job, spec, _num_steps(spec, sum(corpus.train_tokens for corpus in facts)))


def _facts(uow: UnitOfWork, corpus: Corpus, tokenizer: Tokenizer) -> CorpusFacts:
    assert corpus.digest is not None  # it is ready
    train_tokens = datasets.num_train_tokens(uow, corpus=corpus, tokenizer=tokenizer)
    return CorpusFacts(corpus.id, corpus.digest, train_tokens)


def set_length(job: Job, spec: JobSpec, num_steps: int | None) -> None:
    """Write down how long the job is; None if only the clock limits it."""
    job.num_steps = num_steps
    job.num_tokens = None if num_steps is None else num_steps * spec.batch_tokens


def _num_steps(spec: JobSpec, train_tokens: int) -> int | None:
    return spec.budget.num_steps(batch_tokens=spec.batch_tokens, tokens_per_epoch=train_tokens)


def _waiting_reason(uow: UnitOfWork, task: Work) -> str:
    if task.waiting_for is not None:
        noun = task.waiting_for.partition("_")[0]
        progress = _progress_of(uow, task.waiting_for)
        return f"{noun} {task.waiting_for} is still being made ({progress:.0%})"
    if task.not_before is not None and task.not_before > uow.now():
        return f"rests until {task.not_before:%Y-%m-%d %H:%M:%S} UTC after a failed attempt"
    return f"waits for a free worker of queue {task.queue}"


def _progress_of(uow: UnitOfWork, resource_id: str) -> float:
    """How far a corpus, a tokenizer or a dataset is, from 0 to 1."""
    made = uow.corpora.find(resource_id) or uow.tokenizers.find(resource_id)
    if made is not None:
        return made.progress
    encoding = uow.pieces.tally(resource_id, PieceStage.ENCODE)
    return encoding.bytes_done / max(1, encoding.num_bytes)
