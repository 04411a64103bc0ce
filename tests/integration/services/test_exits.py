"""What becomes of a job whose trainer ran out of something."""

from __future__ import annotations

from core.lifecycle import ExitCode, JobStatus
from db.tables import Event
from services import checkpoints, job_changes, job_outcomes, job_runs
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
        job_outcomes.halve_micro_batch(
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
    assert (event.data["step"], event.data["num_steps"]) == (halved.step, halved.num_steps)
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
    for verb, status in (
        (job_changes.cancel, JobStatus.CANCELLED),
        (job_changes.pause, JobStatus.PAUSED),
    ):
        job = office.new_job(corpus_id, batch_tokens=4 * 256)
        claim = begin(office, micro_batch=4)
        with office.database.unit_of_work(write=True) as uow:
            verb(uow, job.id)
            uow.commit()
        run_out_of_memory(office, claim)
        assert office.job(job.id).status is status
    assert office.job(job.id).execution == {"device": "cuda", "micro_batch": 2}


def fill_the_disk(office: Office, claim: Claim) -> None:
    with office.database.unit_of_work(write=True) as uow:
        job_outcomes.make_room(uow, claim, store=office.store, doorbell=office.doorbell)
        uow.commit()


def new_job_with_checkpoints(office: Office, *, pinned_step: int, best_step: int) -> str:
    """A job of six checkpoints that it all keeps."""
    kept = {"every_steps": 1, "keep_last": 6, "keep_best": 1}
    job = office.new_job(office.ready_corpus().id, checkpoints=kept, max_attempts=1)
    claim = begin(office, micro_batch=4)
    for step in range(1, 7):
        loss = 1.0 if step == best_step else 2.0
        checkpoint_id = office.commit_checkpoint(claim, step=step, loss=loss)
        if step == pinned_step:
            with office.database.unit_of_work(write=True) as uow:
                checkpoints.pin(uow, checkpoint_id, pinned=True)
                uow.commit()
    with office.database.unit_of_work(write=True) as uow:
        job_outcomes.leave(uow, claim, doorbell=office.doorbell)
        uow.commit()
    office.doorbell.take()
    return job.id


def test_full_disk_costs_the_oldest_checkpoint_once_and_then_pauses(office: Office) -> None:
    job_id = new_job_with_checkpoints(office, pinned_step=1, best_step=2)
    fill_the_disk(office, begin(office, micro_batch=4))
    assert office.steps_saved(job_id) == [1, 2, 4, 5, 6]
    tried_again = office.job(job_id)
    assert tried_again.status is JobStatus.QUEUED
    assert office.doorbell.take() == ["train.1"]
    (event,) = warnings_of(office, job_id)
    assert event.data["notice"]["code"] == "disk_full"
    assert "checkpoint.deleted" in office.events(job_id)

    fill_the_disk(office, begin(office, micro_batch=4))
    assert office.steps_saved(job_id) == [1, 2, 4, 5, 6]
    paused = office.job(job_id)
    assert paused.status is JobStatus.PAUSED
    assert paused.status_reason == "disk_full: the disk is full"
    assert office.try_claim("train.1") is None

    with office.database.unit_of_work(write=True) as uow:
        job_changes.resume(uow, job_id, doorbell=office.doorbell)
        uow.commit()
    begin(office, micro_batch=4)
    assert office.job(job_id).step == 6


def test_full_disk_takes_another_checkpoint_after_a_new_one_was_saved(office: Office) -> None:
    job_id = new_job_with_checkpoints(office, pinned_step=1, best_step=2)
    fill_the_disk(office, begin(office, micro_batch=4))
    claim = begin(office, micro_batch=4)
    office.commit_checkpoint(claim, step=7, loss=2.0)
    fill_the_disk(office, claim)
    assert office.steps_saved(job_id) == [1, 2, 5, 6, 7]
    assert office.job(job_id).status is JobStatus.QUEUED


def test_full_disk_takes_what_waits_to_be_pruned_before_anything_else(office: Office) -> None:
    kept = {"every_steps": 1, "keep_last": 2, "keep_best": 0}
    job = office.new_job(office.ready_corpus().id, checkpoints=kept)
    claim = begin(office, micro_batch=4)
    for step in range(1, 6):
        office.commit_checkpoint(claim, step=step, loss=6.0 - step)
    fill_the_disk(office, claim)
    assert office.steps_saved(job.id) == [4, 5]


def test_full_disk_pauses_at_once_where_nothing_can_go(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    claim = begin(office, micro_batch=4)
    office.commit_checkpoint(claim, step=1, loss=1.0)
    fill_the_disk(office, claim)
    assert office.job(job.id).status is JobStatus.PAUSED
    assert office.steps_saved(job.id) == [1]
    assert office.outcomes(job.id) == ["failed"]


def test_wish_to_cancel_is_fulfilled_when_the_disk_is_full(office: Office) -> None:
    job_id = new_job_with_checkpoints(office, pinned_step=1, best_step=2)
    claim = begin(office, micro_batch=4)
    with office.database.unit_of_work(write=True) as uow:
        job_changes.cancel(uow, job_id)
        uow.commit()
    fill_the_disk(office, claim)
    assert office.job(job_id).status is JobStatus.CANCELLED
    assert office.steps_saved(job_id) == [1, 2, 3, 4, 5, 6]
