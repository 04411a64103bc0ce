"""What becomes of a job whose trainer ran out of something."""

from __future__ import annotations

from core.lifecycle import ExitCode, JobStatus
from db.tables import Event
from services import job_runs, jobs
from services.attempts import Claim
from tests.integration.services.conftest import Office


def begin(office: Office, *, micro_batch: int | None) -> Claim:
    """An attempt that has begun, and has told its plan if there is a micro-batch."""
    claim = office.claim("train.1")
    with office.database.unit_of_work(write=True) as uow:
        job = job_runs.start(uow, claim)
        if micro_batch is not None:
            execution = {"device": "cuda", **(job.execution or {}), "micro_batch": micro_batch}
            job_runs.plan(uow, claim, num_steps=10, execution=execution)
        uow.commit()
    return claim


def run_out_of_memory(office: Office, claim: Claim) -> None:
    with office.database.unit_of_work(write=True) as uow:
        job_runs.halve_micro_batch(
            uow, claim, doorbell=office.doorbell, exit_code=ExitCode.OUT_OF_MEMORY
        )
        uow.commit()


def warnings_of(office: Office, job_id: str) -> list[Event]:
    with office.database.unit_of_work() as uow:
        return [event for event in uow.events.read_after(0, job_id=job_id) if event.level == "warn"]


def test_job_out_of_device_memory_goes_on_with_half_as_many_sequences(office: Office) -> None:
    corpus_id = office.ready_corpus().id
    job = office.new_job(corpus_id, batch_tokens=12 * 256, max_attempts=1)
    office.doorbell.take()
    run_out_of_memory(office, begin(office, micro_batch=6))
    halved = office.job(job.id)
    assert halved.status is JobStatus.QUEUED
    assert halved.execution == {"device": "cuda", "micro_batch": 3}
    assert halved.status_reason is not None
    assert "out of memory" in halved.status_reason
    assert office.doorbell.take() == ["train.1"]
    (event,) = warnings_of(office, job.id)
    assert event.type == "job.progress"
    assert event.data["notice"] == {
        "code": "micro_batch_halved",
        "micro_batch_before": 6,
        "micro_batch": 3,
    }
    assert halved.warnings[-1] == event.message


def test_halving_costs_no_attempt_and_ends_at_a_single_sequence(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id, batch_tokens=12 * 256, max_attempts=1)
    for micro_batch in (12, 6, 3):
        run_out_of_memory(office, begin(office, micro_batch=micro_batch))
        assert office.job(job.id).error is None
    run_out_of_memory(office, begin(office, micro_batch=1))
    failed = office.job(job.id)
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert (failed.error["code"], failed.error["param"]) == ("out_of_memory", "model")
    assert "single sequence" in failed.error["message"]
    assert office.outcomes(job.id) == ["failed"] * 4
    assert office.try_claim("train.1") is None


def test_job_that_never_came_to_its_first_sequence_fails_for_want_of_memory(
    office: Office,
) -> None:
    job = office.new_job(office.ready_corpus().id)
    run_out_of_memory(office, begin(office, micro_batch=None))
    failed = office.job(job.id)
    assert failed.error is not None
    assert failed.error["code"] == "out_of_memory"


def test_wish_to_cancel_or_pause_is_fulfilled_when_memory_runs_out(office: Office) -> None:
    corpus_id = office.ready_corpus().id
    for verb, status in ((jobs.cancel, JobStatus.CANCELLED), (jobs.pause, JobStatus.PAUSED)):
        job = office.new_job(corpus_id, batch_tokens=4 * 256)
        claim = begin(office, micro_batch=4)
        with office.database.unit_of_work(write=True) as uow:
            verb(uow, job.id)
            uow.commit()
        run_out_of_memory(office, claim)
        assert office.job(job.id).status is status
    assert office.job(job.id).execution == {"device": "cuda", "micro_batch": 2}
