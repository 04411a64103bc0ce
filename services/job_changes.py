"""What may be changed in a job that exists: how it is called and how soon it is worked on."""

from __future__ import annotations

from collections.abc import Mapping

from db.tables import Job
from db.unit_of_work import UnitOfWork
from services import jobs


def change(
    uow: UnitOfWork,
    job_id: str,
    *,
    name: str | None = None,
    metadata: Mapping[str, str] | None = None,
    priority: int | None = None,
) -> Job:
    """Change what is given and leave the rest.

    Raises:
        NotFound: there is no such job.
        Conflict: the job has ended, so its priority means nothing any more.
    """
    task = uow.work.find_for(job_id, lock=True)
    job = uow.jobs.get(job_id, lock=True)
    if priority is not None:
        jobs.refuse_if_finished(job, param="priority")
        job.priority = priority
        if task is not None:
            task.priority = priority
    if name is not None:
        job.name = name
    if metadata is not None:
        job.metadata_ = dict(metadata)
    return job
