"""Checkpoints: committed, checked, pruned, deleted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from core.deciding_metric import deciding_metric
from core.errors import CheckpointDamaged, Conflict
from core.lifecycle import CheckpointStatus
from core.spec import CheckpointSpec
from db.tables import Checkpoint, CheckpointFile, Job
from db.unit_of_work import UnitOfWork
from services import attempts
from services.attempts import Claim
from storage.base import Store, StoredObject

MANIFEST_NAME: Final = "manifest.json"
PRUNING_DELAY: Final = timedelta(minutes=2)
"""How long a checkpoint stays after it fell out of those that its job keeps: time to fetch it."""

_NOT_CHECKED_YET: Final = (
    ": its files are still being checked. Ask again once its status is complete, which the event "
    "checkpoint.created tells (or checkpoint.failed why it never will be)."
)


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint whose bytes are whole in the store, and nothing knows of it yet."""

    step: int
    tokens: int
    prefix: str
    metrics: Mapping[str, float]
    objects: Sequence[StoredObject]


def commit(uow: UnitOfWork, claim: Claim, stored: StoredCheckpoint) -> Checkpoint:
    """Make a stored checkpoint count: from now on the job never falls back behind it.

    Raises:
        LeaseLost: the job has another owner.
    """
    task = uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    known = uow.checkpoints.find_latest(job.id, step=stored.step)
    if known is not None and known.fence == claim.fence:
        return known  # the answer to an earlier commit was lost on its way
    tokenizer = uow.tokenizers.find(job.tokenizer_id or "")
    checkpoint = Checkpoint(
        job_id=job.id,
        model=(job.spec or {})["model"],
        tokenizer_id=job.tokenizer_id,
        tokenizer_sha256=None if tokenizer is None else tokenizer.sha256,
        step=stored.step,
        tokens=stored.tokens,
        fence=claim.fence,
        metrics={name: value for name, value in stored.metrics.items() if math.isfinite(value)},
    )
    uow.checkpoints.add(checkpoint)
    record_files(uow, checkpoint, stored)
    attempts.bears_fruit(task)
    _review(uow, job)
    uow.record_event(
        "checkpoint.created",
        message=f"Checkpoint of step {checkpoint.step}.",
        job_id=job.id,
        data={
            "checkpoint": checkpoint.id,
            "step": checkpoint.step,
            "tokens": checkpoint.tokens,
            "metrics": checkpoint.metrics,
            "best": job.best_checkpoint_id == checkpoint.id,
        },
    )
    return checkpoint


def record_files(uow: UnitOfWork, checkpoint: Checkpoint, stored: StoredCheckpoint) -> None:
    """Write down where the bytes of a checkpoint are, and which files they make."""
    files = {object_.key.removeprefix(stored.prefix): object_ for object_ in stored.objects}
    checkpoint.prefix = stored.prefix
    checkpoint.num_bytes = sum(object_.num_bytes for object_ in stored.objects)
    checkpoint.manifest_sha256 = files[MANIFEST_NAME].sha256
    uow.checkpoints.add_files(
        [
            CheckpointFile(
                checkpoint_id=checkpoint.id,
                name=name,
                num_bytes=object_.num_bytes,
                sha256=object_.sha256,
            )
            for name, object_ in files.items()
        ]
    )


def prune(uow: UnitOfWork, checkpoint_id: str, *, store: Store) -> bool:
    """Delete a checkpoint that its job does not need; the bytes go after the commit.

    Returns:
        False if it is gone, or needed again: pinned, or one of the last since a later one broke,
        or what another job starts from.
    """
    if uow.checkpoints.find(checkpoint_id) is None:
        return False
    checkpoint, job = _lock(uow, checkpoint_id)
    if checkpoint.unneeded_since is None or _started_from(uow, checkpoint):
        return False
    _delete(uow, checkpoint, store=store)
    if job is not None:
        _review(uow, job)
    return True


def make_room(uow: UnitOfWork, job: Job, *, store: Store) -> list[Checkpoint]:
    """Delete what a job can best do without: what waits to be pruned, else its oldest checkpoint.

    Never a pinned one, nor the best, nor the latest, which the job goes on from, nor one that
    another job starts from.

    Returns:
        The checkpoints that were deleted.
    """
    needed = {job.latest_checkpoint_id, job.best_checkpoint_id}
    others = [
        row
        for row in uow.checkpoints.of_job(job.id)
        if not (row.pinned or row.id in needed or _started_from(uow, row))
    ]
    dropped = [row for row in others if row.unneeded_since is not None] or others[:1]
    for checkpoint in dropped:
        _delete(uow, checkpoint, store=store)
    _review(uow, job)
    return dropped


def pin(uow: UnitOfWork, checkpoint_id: str, *, pinned: bool) -> Checkpoint:
    """Keep a checkpoint whatever its job needs, or let it go again.

    Raises:
        NotFound: there is no such checkpoint.
        Conflict: it is deleted or corrupt (``checkpoint_deleted``, ``checkpoint_corrupt``).
    """
    checkpoint, job = _lock(uow, checkpoint_id)
    require_complete(checkpoint)
    checkpoint.pinned = pinned
    if job is not None:
        _review(uow, job)
    return checkpoint


def require_complete(checkpoint: Checkpoint, *, param: str | None = None) -> None:
    """A checkpoint that can be used.

    Raises:
        Conflict: it is deleted or corrupt (``checkpoint_deleted``, ``checkpoint_corrupt``), or was
            uploaded and is not checked yet or of no use (``checkpoint_queued``,
            ``checkpoint_processing``, ``checkpoint_failed``).
    """
    if checkpoint.status is not CheckpointStatus.COMPLETE:
        said = (checkpoint.error or {}).get("message", "")
        more = {
            CheckpointStatus.QUEUED: _NOT_CHECKED_YET,
            CheckpointStatus.PROCESSING: _NOT_CHECKED_YET,
            CheckpointStatus.FAILED: f", and is not tried again. It said: {said}",
        }
        raise Conflict(
            f"Checkpoint {checkpoint.id!r} is {checkpoint.status.value}"
            f"{more.get(checkpoint.status, '.')}",
            code=f"checkpoint_{checkpoint.status.value}",
            param=param,
        )


def file_ids(checkpoint: Checkpoint) -> list[str]:
    """The uploaded files that a checkpoint is made of; none if a job has made it."""
    source = checkpoint.source or {"files": []}
    ids: list[str] = [source["archive"]] if "archive" in source else source["files"]
    return ids


def source_field(checkpoint: Checkpoint) -> str:
    """The field of the request that named the uploaded files of a checkpoint."""
    return "archive" if "archive" in (checkpoint.source or {}) else "files"


def lock(uow: UnitOfWork, checkpoint_id: str, *, param: str | None = None) -> Checkpoint:
    """The checkpoint; nobody else changes it until this transaction ends.

    Raises:
        NotFound: there is no such checkpoint; ``param`` names the field that asked for it.
    """
    checkpoint, _ = _lock(uow, checkpoint_id, param=param)
    return checkpoint


def delete(uow: UnitOfWork, checkpoint_id: str, *, store: Store) -> Checkpoint:
    """Delete a checkpoint because a user says so; the row stays for the history.

    Raises:
        NotFound: there is no such checkpoint.
        Conflict: an unfinished job needs it to go on or to start from (``checkpoint_in_use``), or
            it is gone already (``checkpoint_already_deleted``).
    """
    making = uow.work.find_for(checkpoint_id, lock=True)
    checkpoint, job = _lock(uow, checkpoint_id)
    if checkpoint.status is CheckpointStatus.DELETED:
        raise Conflict(
            f"Checkpoint {checkpoint_id!r} is deleted already.", code="checkpoint_already_deleted"
        )
    if job is not None and not job.status.is_final and job.latest_checkpoint_id == checkpoint_id:
        raise Conflict(
            f"Job {job.id!r} has not ended and goes on from checkpoint {checkpoint_id!r}.",
            code="checkpoint_in_use",
        )
    started = _started_from(uow, checkpoint)
    if started:
        raise Conflict(
            f"Job {started[0].id!r} starts from checkpoint {checkpoint_id!r} and has not ended.",
            code="checkpoint_in_use",
        )
    if making is not None:
        uow.work.delete(making)  # a runner that is at it loses its lease
    _delete(uow, checkpoint, store=store)
    if job is not None:
        _review(uow, job)
    return checkpoint


def mark_corrupt(uow: UnitOfWork, claim: Claim, checkpoint_id: str, *, reason: str) -> None:
    """A checkpoint's bytes are not those of its manifest: it is never used again."""
    uow.work.require(claim.work_id, fence=claim.fence)
    job = uow.jobs.get(claim.subject_id, lock=True)
    checkpoint = uow.checkpoints.get(checkpoint_id)
    _give_up(uow, checkpoint, job)
    before = uow.checkpoints.find_latest(job.id)
    step = 0 if before is None else before.step
    uow.record_event(
        "job.recovered",
        message=f"Checkpoint {checkpoint_id} of step {checkpoint.step} is damaged ({reason}); the "
        f"job goes on from step {step}.",
        level="warn",
        job_id=job.id,
        data={"damaged_checkpoint": checkpoint_id, "reason": reason, "step": step},
    )


def give_up(uow: UnitOfWork, checkpoint_id: str) -> None:
    """A checkpoint that another job was to start from is damaged: it is never used again."""
    _give_up(uow, *_lock(uow, checkpoint_id))


def verify(directory: Path, files: Sequence[CheckpointFile]) -> None:
    """Compare every byte of a checkpoint with what was committed.

    Raises:
        CheckpointDamaged: a file is missing, or has other bytes.
    """
    for file in files:
        path = directory / file.name
        try:
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointDamaged(f"{file.name}: {error.strerror}") from None
        if digest != file.sha256:
            raise CheckpointDamaged(f"{file.name}: sha256 {digest}, expected {file.sha256}")


def _lock(
    uow: UnitOfWork, checkpoint_id: str, *, param: str | None = None
) -> tuple[Checkpoint, Job | None]:
    """The job's row first, as whoever commits a checkpoint does, and then the checkpoint anew.

    Raises:
        NotFound: there is no such checkpoint.
    """
    job_id = uow.checkpoints.get(checkpoint_id, param=param).job_id
    job = None if job_id is None else uow.jobs.find(job_id, lock=True)
    return uow.checkpoints.get(checkpoint_id, lock=True), job


def _started_from(uow: UnitOfWork, checkpoint: Checkpoint) -> list[Job]:
    """The jobs that may still read its weights."""
    return uow.jobs.unfinished_with(start_checkpoint_id=checkpoint.id)


def _give_up(uow: UnitOfWork, checkpoint: Checkpoint, job: Job | None) -> None:
    checkpoint.status = CheckpointStatus.CORRUPT
    checkpoint.unneeded_since = None
    if job is not None:
        _review(uow, job)


def _delete(uow: UnitOfWork, checkpoint: Checkpoint, *, store: Store) -> None:
    checkpoint.status = CheckpointStatus.DELETED
    checkpoint.pinned = False
    checkpoint.unneeded_since = None
    uow.record_event(
        "checkpoint.deleted",
        message=f"Checkpoint of step {checkpoint.step} is deleted.",
        job_id=checkpoint.job_id,
        data={"checkpoint": checkpoint.id, "step": checkpoint.step},
    )
    if checkpoint.prefix:
        uow.after_commit(_deletion(store, checkpoint.prefix))


def _deletion(store: Store, prefix: str) -> Callable[[], None]:
    return lambda: store.delete_prefix(prefix)


def _review(uow: UnitOfWork, job: Job) -> None:
    """After a change: which checkpoint is the latest, which the best, which are not needed."""
    spec = job.spec or {}
    complete = uow.checkpoints.of_job(job.id)
    metric = deciding_metric(spec["model"]["architecture"])
    # of equals, and of those that nobody has measured, the one that has learned longest
    best_first = sorted(complete, key=lambda row: (*metric.order(row.metrics), -row.step))
    job.latest_checkpoint_id = complete[-1].id if complete else None
    job.best_checkpoint_id = best_first[0].id if complete else None
    wanted = CheckpointSpec.model_validate(spec["checkpoints"])
    needed = {row.id for row in (*complete[-wanted.keep_last :], *best_first[: wanted.keep_best])}
    for row in complete:
        if row.pinned or row.id in needed:
            row.unneeded_since = None
        else:
            row.unneeded_since = row.unneeded_since or uow.now()
