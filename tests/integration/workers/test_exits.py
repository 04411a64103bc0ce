"""From the exit code of a real trainer to what its job says, by faults that are asked for."""

from __future__ import annotations

import pytest

from core.lifecycle import JobStatus
from db.tables import Attempt, Job
from tests.integration.workers.conftest import House

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.parametrize("engine_name", ["sqlite"]),  # processes are slow, engines the same
]


def run_with(house: House, fault: str) -> None:
    """One attempt that fails as asked; "" for one that does not."""
    house.settings["fault"] = fault
    assert house.run("train.1") == 0


def latest_attempt(house: House, job_id: str) -> Attempt:
    with house.database.unit_of_work() as uow:
        attempt = uow.attempts.find_latest(job_id)
    assert attempt is not None
    return attempt


def error_of(job: Job) -> tuple[str, str]:
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    return job.error["code"], job.error["message"]


@pytest.mark.exhaustive
def test_job_out_of_device_memory_ends_with_half_the_micro_batch(ready: House) -> None:
    job_id = ready.new_job(ready.corpus_id, max_attempts=1).id
    run_with(ready, "out_of_memory@6")
    assert latest_attempt(ready, job_id).exit_code == 70
    queued = ready.job(job_id)
    assert queued.status is JobStatus.QUEUED
    assert queued.execution is not None
    assert queued.execution["micro_batch"] == 2
    run_with(ready, "")
    done = ready.job(job_id)
    assert done.status is JobStatus.SUCCEEDED
    assert done.execution == queued.execution
    assert done.tokens == 12 * 128
    assert "ran out of memory" in done.warnings[-1]


@pytest.mark.exhaustive
def test_job_that_diverges_fails_at_once_and_says_so(ready: House) -> None:
    job_id = ready.new_job(ready.corpus_id).id
    run_with(ready, "diverge@2")
    assert latest_attempt(ready, job_id).exit_code == 72
    code, message = error_of(ready.job(job_id))
    assert code == "diverged"
    assert "loss is nan" in message


def test_job_whose_loss_leaves_goes_back_tells_of_it_and_fails_clearly(ready: House) -> None:
    job_id = ready.new_job(
        ready.corpus_id,
        budget={"steps": 1000},
        optimizer={"name": "adamw", "learning_rate": 10.0},
        evaluation={"every_steps": 1000},
        checkpoints={"every_steps": 1000},
    ).id
    run_with(ready, "")
    job = ready.job(job_id)
    code, message = error_of(job)
    assert code == "diverged"
    assert "optimizer.learning_rate" in message
    returns = [warning for warning in job.warnings if "went back to those of step 0" in warning]
    assert len(returns) == 2
    with ready.database.unit_of_work() as uow:
        notices = [
            event.data["notice"]["code"]
            for event in uow.events.read_after(0, job_id=job_id, limit=1000)
            if "notice" in event.data
        ]
    assert notices.count("rolled_back") == 2


def test_job_that_learns_no_more_ends_early_and_has_its_result(ready: House) -> None:
    stopping = {"patience": 1, "min_delta": 50}
    job_id = ready.new_job(
        ready.corpus_id, evaluation={"every_steps": 2, "early_stopping": stopping}
    ).id
    run_with(ready, "")
    job = ready.job(job_id)
    assert (job.status, job.stop_reason) == (JobStatus.SUCCEEDED, "early_stopping")
    assert [checkpoint.step for checkpoint in ready.checkpoints(job_id)] == [2]
    assert job.metrics["validation/bits_per_byte"] > 0


@pytest.mark.exhaustive
def test_device_fault_counts_as_a_crash_and_is_named(ready: House) -> None:
    job_id = ready.new_job(ready.corpus_id, max_attempts=1).id
    run_with(ready, "device_fault@2")
    attempt = latest_attempt(ready, job_id)
    assert (attempt.exit_code, attempt.outcome) == (71, "failed")
    code, message = error_of(ready.job(job_id))
    assert code == "too_many_attempts"
    assert "The device failed: CUDA error" in message


@pytest.mark.exhaustive
def test_full_disk_deletes_a_checkpoint_tries_once_more_and_pauses(ready: House) -> None:
    job_id = ready.new_job(
        ready.corpus_id,
        budget={"steps": 300},
        evaluation={"every_steps": 300},
        checkpoints={"every_steps": 10, "keep_last": 99, "keep_best": 0},
    ).id
    run_with(ready, "disk_full@201")  # by then some are whole, however long each takes to write
    assert latest_attempt(ready, job_id).exit_code == 73
    queued, left = ready.job(job_id), [checkpoint.step for checkpoint in ready.checkpoints(job_id)]
    assert queued.status is JobStatus.QUEUED
    said, _, deleted = queued.warnings[-1].rpartition(" ")
    assert said.endswith("Deleted to make room: the checkpoints of step")
    assert int(deleted.rstrip(".")) not in left
    run_with(ready, f"disk_full@{left[-1] + 1}")
    paused = ready.job(job_id)
    assert paused.status is JobStatus.PAUSED
    assert paused.status_reason is not None
    assert paused.status_reason.startswith("disk_full")
