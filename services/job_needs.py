"""What a job needs before it can begin: its corpora, its tokenizer, their datasets and its spec."""

from __future__ import annotations

import json
from collections.abc import Sequence

from core import resolve
from core.errors import Conflict, InvalidRequest
from core.job_request import JobRequest
from core.lifecycle import ResourceStatus
from core.resolve import CorpusFacts
from core.sizing import num_parameters
from core.spec import JobSpec
from db.tables import Corpus, Job, Tokenizer, Work
from db.unit_of_work import UnitOfWork
from services import continuation, datasets, job_endings, readiness
from services.doorbell import Doorbell


def corpora_of(uow: UnitOfWork, job: Job) -> list[Corpus]:
    """The corpora that a job is trained on, in its order; one unless it mixes them."""
    return [uow.corpora.get(corpus_id) for corpus_id in uow.jobs.corpus_ids(job.id)]


def prepare(
    uow: UnitOfWork,
    job: Job,
    *,
    corpora: Sequence[Corpus],
    tokenizer: Tokenizer,
    doorbell: Doorbell,
) -> str | None:
    """Settle the spec of a job as soon as that can be done, and have made what it needs.

    Returns:
        The id of what the job has to wait for first; None if it can begin.

    Raises:
        InvalidRequest: the request turns out not to fit its data.
        Conflict: the checkpoint it starts from cannot be used any more.
    """
    missing = _first_missing(corpora, tokenizer)
    if missing is not None:
        return missing
    if job.spec is None:
        _settle_spec(uow, job, corpora=corpora, tokenizer=tokenizer)
    return missing_dataset(uow, corpora, tokenizer, doorbell=doorbell)


def go_on_waiting_or_start(uow: UnitOfWork, task: Work, *, doorbell: Doorbell) -> None:
    """What a job has waited for is ready: wait for what is missing next, or let it be claimed.

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
        task.waiting_for = prepare(
            uow, job, corpora=corpora, tokenizer=tokenizer, doorbell=doorbell
        )
    except (Conflict, InvalidRequest) as error:
        job_endings.fail_unowned(uow, job, task, error)


def missing_dataset(
    uow: UnitOfWork, corpora: Sequence[Corpus], tokenizer: Tokenizer, *, doorbell: Doorbell
) -> str | None:
    """The dataset that a job has to wait for first; from now on all that are missing are made."""
    needed = [
        datasets.find_or_ask(uow, corpus=corpus, tokenizer=tokenizer, doorbell=doorbell)
        for corpus in corpora
    ]
    return next((one.id for one in needed if one.status is not ResourceStatus.READY), None)


def set_length(job: Job, spec: JobSpec, num_steps: int | None) -> None:
    """Write down how long the job is; None if only the clock limits it."""
    job.num_steps = num_steps
    job.num_tokens = None if num_steps is None else num_steps * spec.batch_tokens


def _first_missing(corpora: Sequence[Corpus], tokenizer: Tokenizer) -> str | None:
    for corpus in corpora:
        if corpus.status is not ResourceStatus.READY:
            return corpus.id
    return None if tokenizer.status is ResourceStatus.READY else _made_by(tokenizer)


def _made_by(tokenizer: Tokenizer) -> str:
    """Whose work makes the tokenizer: a default one comes with its corpus."""
    if tokenizer.is_default and tokenizer.corpus_id is not None:
        return tokenizer.corpus_id
    return tokenizer.id


def _settle_spec(
    uow: UnitOfWork,
    job: Job,
    *,
    corpora: Sequence[Corpus],
    tokenizer: Tokenizer,
) -> None:
    assert tokenizer.vocab_size is not None  # it is ready
    request = JobRequest.model_validate_json(json.dumps(job.request))
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


def _num_steps(spec: JobSpec, train_tokens: int) -> int | None:
    return spec.budget.num_steps(batch_tokens=spec.batch_tokens, tokens_per_epoch=train_tokens)
