"""Training jobs: data brought here, trained on in a child, every result committed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.errors import BadData, CheckpointDamaged, Conflict, NotFound, PretrainerError, Unavailable
from core.lifecycle import ExitCode
from core.spec import JobSpec
from db.tables import Checkpoint, Corpus
from db.unit_of_work import UnitOfWork
from services import checkpoints, datasets, job_needs, job_outcomes, job_runs
from services.attempts import Claim
from services.doorbell import Doorbell
from workers.children import Child, engine_environment
from workers.failures import is_disk_full
from workers.heartbeat import Heartbeat
from workers.kinds.progress import ProgressBook
from workers.kinds.unfinished import settle_unfinished
from workers.supervision import Ending, supervise
from workers.workplace import Workplace

_RETRY_SECONDS: Final = 1.0
_DATASET_DAMAGED: Final = "dataset_damaged"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Assignment:
    """What an attempt at a job needs to know."""

    spec: JobSpec
    dataset_prefixes: Sequence[str]
    """One for each corpus of the spec, in its order."""
    execution: Mapping[str, Any] | None = None
    """How earlier attempts ran, with what they learned about the device's memory."""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def train(place: Workplace, claim: Claim, *, heartbeat: Heartbeat) -> None:
    """Carry out an attempt at a job."""
    try:
        with place.scratch(claim) as directory:
            _attempt(place, claim, directory, heartbeat=heartbeat)
    except (Unavailable, OSError) as error:
        if not is_disk_full(error):
            raise
        _log.exception("There is no room for what this attempt has made")
        heartbeat.stop()
        _make_room(place, claim)


def _attempt(place: Workplace, claim: Claim, directory: Path, *, heartbeat: Heartbeat) -> None:
    resume = _latest_whole_checkpoint(place, claim)
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_runs.start(uow, claim)
        assignment = _assignment(uow, claim, doorbell=place.doorbell)
        uow.commit()
    if assignment is None:
        return
    try:
        initial = None if resume is not None else _initial_weights(place, claim, assignment.spec)
    except (CheckpointDamaged, Conflict, NotFound) as error:
        heartbeat.stop()
        _fail(place, claim, error)
        return
    try:
        datasets_here = [
            place.store.materialise(prefix, cache=place.settings.cache_dir)
            for prefix in assignment.dataset_prefixes
        ]
    except NotFound as error:
        heartbeat.stop()
        _remake_datasets(place, claim, reason=error.message)
        return
    book = ProgressBook(place, claim)
    child = _start_trainer(
        place, claim, assignment, directory, datasets=datasets_here, resume=resume, initial=initial
    )
    ending = supervise(
        child,
        heartbeat=heartbeat,
        drain=place.drain,
        drain_seconds=place.settings.drain_seconds,
        on_message=book.hear,
        on_tick=book.write,
    )
    _write_the_rest(book, heartbeat)
    if heartbeat.is_lost:
        return
    heartbeat.stop()
    _end(place, claim, ending)


def _start_trainer(
    place: Workplace,
    claim: Claim,
    assignment: _Assignment,
    directory: Path,
    *,
    datasets: Sequence[Path],
    resume: Path | None,
    initial: Path | None,
) -> Child:
    return Child(
        "workers.trainer_process",
        directory / "training",
        task={
            "spec": assignment.spec.model_dump_json(),
            "datasets": [str(dataset) for dataset in datasets],
            "resume": None if resume is None else str(resume),
            "initial": None if initial is None else str(initial),
            "execution": assignment.execution,
            "fence": claim.fence,
            "provenance": assignment.provenance,
        },
        log=place.log_of(claim),
        nice=place.settings.trainer_nice,
        environment=engine_environment(place.settings.kernel_dir),
    )


def _assignment(uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell) -> _Assignment | None:
    """What is to be done; None if a dataset has gone, and the job waits for it again."""
    job = uow.jobs.get(claim.subject_id)
    corpora = job_needs.corpora_of(uow, job)
    tokenizer = uow.tokenizers.get(job.tokenizer_id or "")
    found = [datasets.find(uow, corpus=corpus, tokenizer=tokenizer) for corpus in corpora]
    prefixes = [dataset.prefix for dataset in found if dataset is not None]
    if len(prefixes) < len(corpora):
        job_runs.wait_for_dataset(
            uow, claim, corpora=corpora, tokenizer=tokenizer, doorbell=doorbell
        )
        return None
    return _Assignment(
        spec=job_runs.spec_of(job),
        dataset_prefixes=prefixes,
        execution=job.execution,
        provenance={
            "tokenizer_sha256": tokenizer.sha256,
            "corpora": [_provenance(uow, corpus) for corpus in corpora],
            **_ancestry(uow, job.start_checkpoint_id),
        },
    )


def _provenance(uow: UnitOfWork, corpus: Corpus) -> dict[str, Any]:
    """Where the text came from, for the model card: names and digests, never times or ids."""
    file_ids = uow.corpora.file_ids(corpus.id)
    known = uow.files.get_many(file_ids)
    return {
        "corpus": corpus.name,
        "corpus_digest": corpus.digest,
        "license": corpus.metadata_.get("license") or corpus.metadata_.get("licence"),
        "files": [
            {"filename": known[file_id].filename, "sha256": known[file_id].sha256}
            for file_id in file_ids
            if file_id in known
        ],
        "options": corpus.options,
        "stats": corpus.stats,
        "splits": corpus.splits,
    }


def _ancestry(uow: UnitOfWork, checkpoint_id: str | None) -> dict[str, Any]:
    """What the model was continued from, for the model card."""
    if checkpoint_id is None:
        return {}
    checkpoint = uow.checkpoints.get(checkpoint_id)
    job = None if checkpoint.job_id is None else uow.jobs.find(checkpoint.job_id)
    files = uow.files.get_many(checkpoints.file_ids(checkpoint)).values()
    return {
        "continued_from": {
            "checkpoint": checkpoint.id,
            "job": None if job is None else job.name,
            "step": checkpoint.step,
            "tokens": checkpoint.tokens,
            "uploaded": [{"filename": file.filename, "sha256": file.sha256} for file in files],
        }
    }


def _initial_weights(place: Workplace, claim: Claim, spec: JobSpec) -> Path | None:
    """The folder of the checkpoint that a spec starts from, every byte as it was committed.

    Raises:
        Conflict: the checkpoint cannot be used any more.
        CheckpointDamaged: its bytes are not those that were committed.
        NotFound: it has no bytes.
    """
    if spec.start is None:
        return None
    with place.database.unit_of_work(claim.project_id) as uow:
        checkpoint = uow.checkpoints.get(spec.start.checkpoint, param="model.from")
        checkpoints.require_complete(checkpoint, param="model.from")
        files = uow.checkpoints.files(checkpoint.id)
    try:
        directory = place.store.materialise(checkpoint.prefix, cache=place.settings.cache_dir)
        checkpoints.verify(directory, files)
    except (CheckpointDamaged, NotFound) as error:
        with place.database.unit_of_work(claim.project_id, write=True) as uow:
            checkpoints.give_up(uow, checkpoint.id)
            uow.commit()
        raise CheckpointDamaged(
            f"Checkpoint {checkpoint.id!r}, which the model starts from, is damaged: "
            f"{error.message}",
            param="model.from",
        ) from error
    return directory


def _fail(place: Workplace, claim: Claim, error: PretrainerError) -> None:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_outcomes.fail(
            uow, claim, code=error.error_code, message=error.message, param=error.param
        )
        uow.commit()


def _latest_whole_checkpoint(place: Workplace, claim: Claim) -> Path | None:
    """Where the job goes on: the latest checkpoint whose bytes are what they were.

    A damaged one is marked, said in an event, and never used again.
    """
    while True:
        with place.database.unit_of_work(claim.project_id) as uow:
            checkpoint = uow.checkpoints.find_latest(claim.subject_id)
            files = [] if checkpoint is None else uow.checkpoints.files(checkpoint.id)
        if checkpoint is None:
            return None
        try:
            directory = place.store.materialise(checkpoint.prefix, cache=place.settings.cache_dir)
            checkpoints.verify(directory, files)
        except (CheckpointDamaged, NotFound) as error:
            _mark_corrupt(place, claim, checkpoint, reason=error.message)
        else:
            return directory


def _mark_corrupt(place: Workplace, claim: Claim, checkpoint: Checkpoint, *, reason: str) -> None:
    _log.error("Checkpoint %s is damaged: %s", checkpoint.id, reason)
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        checkpoints.mark_corrupt(uow, claim, checkpoint.id, reason=reason)
        uow.commit()


def _write_the_rest(book: ProgressBook, heartbeat: Heartbeat) -> None:
    """A database that is away now may come back before the heartbeat gives up."""
    while not heartbeat.is_lost and not book.write(even_if_recent=True):
        time.sleep(_RETRY_SECONDS)


def _end(place: Workplace, claim: Claim, ending: Ending) -> None:
    if ending.is_done:
        _succeed(place, claim, stop_reason=ending.result.get("stopped_for"))
    elif ending.exit_code == ExitCode.OUT_OF_MEMORY:
        _halve_micro_batch(place, claim)
    elif ending.exit_code == ExitCode.DISK_FULL and not ending.has_left:
        _make_room(place, claim)
    elif ending.failure is not None and ending.failure.code == _DATASET_DAMAGED:
        _remake_datasets(place, claim, reason=ending.failure.message)
    else:
        settle_unfinished(place, claim, ending, endings=job_outcomes)


def _remake_datasets(place: Workplace, claim: Claim, *, reason: str) -> None:
    _log.error("The encoded text of %s is lost: %s", claim.subject_id, reason)
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        try:
            job_runs.remake_datasets(
                uow, claim, reason=reason, store=place.store, doorbell=place.doorbell
            )
        except BadData as error:
            job_outcomes.fail(
                uow, claim, code=error.error_code, message=error.message, param=error.param
            )
        uow.commit()


def _succeed(place: Workplace, claim: Claim, *, stop_reason: str | None) -> None:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_outcomes.succeed(uow, claim, stop_reason=stop_reason)
        uow.commit()


def _halve_micro_batch(place: Workplace, claim: Claim) -> None:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_outcomes.halve_micro_batch(
            uow, claim, doorbell=place.doorbell, exit_code=ExitCode.OUT_OF_MEMORY
        )
        uow.commit()


def _make_room(place: Workplace, claim: Claim) -> None:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_outcomes.make_room(uow, claim, store=place.store, doorbell=place.doorbell)
        uow.commit()
