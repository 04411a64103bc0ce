from __future__ import annotations

from collections.abc import Callable

import pytest

from core.errors import Conflict
from core.lifecycle import JobStatus
from services import job_changes, job_outcomes, job_runs
from tests.integration.services.conftest import Office


def cancel(office: Office, job_id: str) -> None:
    with office.database.unit_of_work(write=True) as uow:
        job_changes.cancel(uow, job_id)
        uow.commit()


def pause(office: Office, job_id: str) -> None:
    with office.database.unit_of_work(write=True) as uow:
        job_changes.pause(uow, job_id)
        uow.commit()


def resume(office: Office, job_id: str) -> None:
    with office.database.unit_of_work(write=True) as uow:
        job_changes.resume(uow, job_id, doorbell=office.doorbell)
        uow.commit()


def test_cancelled_queued_job_ends_at_once(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    cancel(office, job.id)
    assert office.job(job.id).status is JobStatus.CANCELLED
    assert office.events(job.id)[-1] == "job.cancelled"
    assert office.try_claim("train.1") is None


def test_cancelled_running_job_ends_when_its_worker_leaves(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    claim = office.claim("train.1")
    with office.database.unit_of_work(write=True) as uow:
        job_runs.start(uow, claim)
        uow.commit()
    cancel(office, job.id)
    assert office.job(job.id).status is JobStatus.RUNNING
    with office.database.unit_of_work(write=True) as uow:
        job_outcomes.leave(uow, claim, doorbell=office.doorbell)
        uow.commit()
    assert office.job(job.id).status is JobStatus.CANCELLED
    assert office.outcomes(job.id) == ["cancelled"]


def test_paused_job_is_not_claimed_until_it_is_resumed(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    office.doorbell.take()
    pause(office, job.id)
    assert office.job(job.id).status is JobStatus.PAUSED
    assert office.try_claim("train.1") is None
    resume(office, job.id)
    assert office.doorbell.take() == ["train.1"]
    assert office.claim("train.1").subject_id == job.id
    assert office.events(job.id) == ["job.queued", "job.paused", "job.resumed"]


def test_cancelled_paused_job_ends_at_once(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    pause(office, job.id)
    cancel(office, job.id)
    assert office.job(job.id).status is JobStatus.CANCELLED


@pytest.mark.parametrize("verb", [pause, resume])
def test_ended_job_can_be_neither_paused_nor_resumed(
    office: Office, verb: Callable[[Office, str], None]
) -> None:
    job = office.new_job(office.ready_corpus().id)
    cancel(office, job.id)
    with pytest.raises(Conflict) as refused:
        verb(office, job.id)
    assert refused.value.error_code == "job_already_finished"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (JobStatus.CANCELLED, "has already been cancelled."),
        (JobStatus.FAILED, "has already failed."),
        (JobStatus.SUCCEEDED, "has already succeeded."),
    ],
)
def test_refusal_says_how_the_job_has_ended(
    office: Office, status: JobStatus, sentence: str
) -> None:
    job_id = office.new_job(office.ready_corpus().id).id
    with office.database.unit_of_work(write=True) as uow:
        uow.jobs.get(job_id).status = status
        uow.commit()
    with pytest.raises(Conflict) as refused:
        resume(office, job_id)
    assert refused.value.message == f"Job {job_id!r} {sentence}"
    with office.database.unit_of_work(write=True) as uow, pytest.raises(Conflict) as refused:
        job_changes.change(uow, job_id, priority=1)
    assert (refused.value.message, refused.value.param) == (
        f"Job {job_id!r} {sentence}",
        "priority",
    )
