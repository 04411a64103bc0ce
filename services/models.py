"""Models: complete checkpoints by name.

A model is a checkpoint's id, a job's id or name (its best checkpoint), or one of these with
``:latest``, ``:best`` or ``:step-1000``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from core.errors import NotFound
from core.lifecycle import CheckpointStatus
from db.repositories.scope import Order
from db.tables import Checkpoint, Job
from db.unit_of_work import UnitOfWork

_STEP: Final = re.compile(r"step-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint, and its job if that still exists."""

    checkpoint: Checkpoint
    job: Job | None


def find(uow: UnitOfWork, name: str) -> Model:
    """The model of a name.

    Raises:
        NotFound: no complete checkpoint has this name.
    """
    checkpoint = uow.checkpoints.find(name)
    if checkpoint is not None:
        if checkpoint.status is not CheckpointStatus.COMPLETE:
            raise _unknown(name)
        return Model(checkpoint, uow.jobs.find(checkpoint.job_id or ""))
    job_name, _, which = name.partition(":")
    job = uow.jobs.find(job_name) or uow.jobs.find_newest_named(job_name, with_checkpoint=True)
    found = None if job is None else _checkpoint_of(uow, job, which)
    if found is None:
        raise _unknown(name)
    return Model(found, job)


def page(
    uow: UnitOfWork, *, limit: int, after: str | None, order: Order
) -> tuple[list[Model], bool]:
    """A stretch of the complete checkpoints as models, and whether more follow."""
    found = uow.checkpoints.page(limit=limit, after=after, order=order)
    jobs = {
        job_id: uow.jobs.find(job_id or "")
        for job_id in {checkpoint.job_id for checkpoint in found.items}
    }
    return [Model(row, jobs[row.job_id]) for row in found.items], found.has_more


def _checkpoint_of(uow: UnitOfWork, job: Job, which: str) -> Checkpoint | None:
    if which == "latest":
        return uow.checkpoints.find_latest(job.id)
    if which in {"", "best"}:
        best = uow.checkpoints.find(job.best_checkpoint_id or "")
        is_usable = best is not None and best.status is CheckpointStatus.COMPLETE
        return best if is_usable else uow.checkpoints.find_latest(job.id)
    match = _STEP.fullmatch(which)
    return uow.checkpoints.find_latest(job.id, step=int(match[1])) if match else None


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"There is no model {name!r}; it is a checkpoint's id, or the name or id of a job with a "
        "checkpoint, alone or with :latest, :best or :step-1000.",
        code="model_not_found",
        param="model",
    )
