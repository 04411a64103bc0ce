"""From the exit code of a real trainer to what its job says, by faults that are asked for."""

from __future__ import annotations

import pytest

from core.lifecycle import JobStatus
from db.tables import Attempt, Job
from services import jobs
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


def test_job_that_diverges_fails_at_once_and_says_so(ready: House) -> None:
    job_id = ready.new_job(ready.corpus_id).id
    run_with(ready, "diverge@2")
    assert latest_attempt(ready, job_id).exit_code == 72
    code, message = error_of(ready.job(job_id))
    assert code == "diverged"
    assert "loss is nan" in message


def test_device_fault_counts_as_a_crash_and_is_named(ready: House) -> None:
    job_id = ready.new_job(ready.corpus_id, max_attempts=2).id
    run_with(ready, "device_fault@2")
    queued, attempt = ready.job(job_id), latest_attempt(ready, job_id)
    assert queued.status is JobStatus.QUEUED
    assert queued.status_reason is not None
    assert "The device failed" in queued.status_reason
    assert (attempt.exit_code, attempt.outcome) == (71, "failed")
    with ready.database.unit_of_work(write=True) as uow:
        task = uow.work.find_for(job_id)
        assert task is not None
        task.not_before = None  # it would rest
        uow.commit()
    run_with(ready, "device_fault@2")
    code, message = error_of(ready.job(job_id))
    assert code == "too_many_attempts"
    assert "The device failed: CUDA error" in message


def test_full_disk_deletes_a_checkpoint_tries_once_more_and_pauses(ready: House) -> None:
    kept = {"every_steps": 2, "keep_last": 9, "keep_best": 0}
    job_id = ready.new_job(ready.corpus_id, checkpoints=kept).id
    run_with(ready, "kill@11")
    steps = [checkpoint.step for checkpoint in ready.checkpoints(job_id)]
    with ready.database.unit_of_work(write=True) as uow:
        task = uow.work.find_for(job_id)
        assert task is not None
        task.not_before = None  # it would rest
        uow.commit()
    run_with(ready, "disk_full@11")
    assert latest_attempt(ready, job_id).exit_code == 73
    assert ready.job(job_id).status is JobStatus.QUEUED
    assert [checkpoint.step for checkpoint in ready.checkpoints(job_id)] == steps[1:]
    run_with(ready, "disk_full@11")
    paused = ready.job(job_id)
    assert paused.status is JobStatus.PAUSED
    assert paused.status_reason is not None
    assert paused.status_reason.startswith("disk_full")
    with ready.database.unit_of_work(write=True) as uow:
        jobs.resume(uow, job_id, doorbell=ready.doorbell)
        uow.commit()
    run_with(ready, "")
    assert ready.job(job_id).status is JobStatus.SUCCEEDED
