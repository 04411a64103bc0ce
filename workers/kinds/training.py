"""Training jobs: data brought here, trained on in a child, every result committed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core.errors import CheckpointDamaged, NotFound, Unavailable
from core.lifecycle import ExitCode
from core.spec import JobSpec
from db.tables import Checkpoint, Corpus
from db.unit_of_work import UnitOfWork
from services import checkpoints, datasets, job_runs, jobs
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
    datasets_here = [
        str(place.store.materialise(prefix, cache=place.settings.cache_dir))
        for prefix in assignment.dataset_prefixes
    ]
    book = ProgressBook(place, claim)
    child = Child(
        "workers.trainer_process",
        directory / "training",
        task={
            "spec": assignment.spec.model_dump_json(),
            "datasets": datasets_here,
            "resume": None if resume is None else str(resume),
            "execution": assignment.execution,
            "fence": claim.fence,
            "provenance": assignment.provenance,
        },
        log=place.log_of(claim),
        nice=place.settings.trainer_nice,
        environment=engine_environment(),
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
    if ending.exit_code == ExitCode.OUT_OF_MEMORY:
        _halve_micro_batch(place, claim)
    else:
        _end(place, claim, ending)


def _assignment(uow: UnitOfWork, claim: Claim, *, doorbell: Doorbell) -> _Assignment | None:
    """What is to be done; None if a dataset has gone, and the job waits for it again."""
    job = uow.jobs.get(claim.subject_id)
    corpora = jobs.corpora_of(uow, job)
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
        },
    )


def _provenance(uow: UnitOfWork, corpus: Corpus) -> dict[str, Any]:
    """Where the text came from, for the model card: names and digests, never times or ids."""
    file_ids = uow.corpora.file_ids(corpus.id)
    known = uow.files.get_many(file_ids)
    return {
        "corpus": corpus.name,
        "corpus_digest": corpus.digest,
        "files": [
            {"filename": known[file_id].filename, "sha256": known[file_id].sha256}
            for file_id in file_ids
            if file_id in known
        ],
        "options": corpus.options,
        "stats": corpus.stats,
        "splits": corpus.splits,
    }


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
        _succeed(place, claim)
    elif ending.exit_code == ExitCode.DISK_FULL and not ending.has_left:
        _make_room(place, claim)
    else:
        settle_unfinished(place, claim, ending, endings=job_runs)


def _succeed(place: Workplace, claim: Claim) -> None:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_runs.succeed(uow, claim)
        uow.commit()


def _halve_micro_batch(place: Workplace, claim: Claim) -> None:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_runs.halve_micro_batch(
            uow, claim, doorbell=place.doorbell, exit_code=ExitCode.OUT_OF_MEMORY
        )
        uow.commit()


def _make_room(place: Workplace, claim: Claim) -> None:
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        job_runs.make_room(uow, claim, store=place.store, doorbell=place.doorbell)
        uow.commit()
