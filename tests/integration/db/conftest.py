"""Rows that the tests of the database begin with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.lifecycle import WorkKind
from db.engine import Database
from db.tables import Job, Work

QUEUE = "train.1"


@pytest.fixture
def add_work(database: Database) -> Callable[..., Work]:
    """Adds a job and its work; returns the work."""

    def add(*, priority: int = 0, waiting_for: str | None = None) -> Work:
        with database.unit_of_work(write=True) as uow:
            job = uow.jobs.add(Job(name="job", request={}))
            work = uow.work.add(
                Work(
                    kind=WorkKind.JOB,
                    subject_id=job.id,
                    queue=QUEUE,
                    priority=priority,
                    waiting_for=waiting_for,
                )
            )
            uow.commit()
            return work

    return add
