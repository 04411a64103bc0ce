"""Jobs on several devices of one host: ranks that are started, watched, and never left behind.

A host without GPUs gives each rank a part of its cores, if its operator calls that devices.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from core.job_request import JobRequest
from core.lifecycle import JobStatus
from core.processes import ProcessIdentity
from db.tables import Job
from services import jobs
from tests.integration.workers.conftest import House

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("engine_name", ["sqlite"]),  # processes are slow, engines the same
]


def new_job(house: House, *, num_steps: int) -> Job:
    """A job on two devices."""
    house.settings["num_devices"] = 2
    body = {
        "corpus": house.corpus_id,
        "model": {"layers": 1, "width": 32, "heads": 2, "context_length": 32},
        "batch_tokens": 128,
        "budget": {"steps": num_steps},
        "evaluation": {"every_steps": 1000},
        "checkpoints": {"every_steps": 20},
        "precision": "fp32",
        "resources": {"devices": 2},
    }
    with house.database.unit_of_work(write=True) as uow:
        request = JobRequest.model_validate(body)
        job = jobs.create(uow, request, doorbell=house.doorbell, max_devices=2)
        uow.commit()
    return job


def processes_of(house: House) -> dict[str, ProcessIdentity]:
    """The trainer and its other ranks, by the names of their directories."""
    found = {}
    for record in house.configured().scratch_dir.glob("**/child.json"):
        try:
            found[record.parent.name] = ProcessIdentity.from_json(json.loads(record.read_text()))
        except (OSError, ValueError):  # being written, or gone
            continue
    return found


def test_job_on_two_devices_is_trained_by_two_ranks(ready: House) -> None:
    job_id = new_job(ready, num_steps=12).id
    assert ready.run("train.2") == 0
    done = ready.job(job_id)
    assert done.status is JobStatus.SUCCEEDED, done.error
    assert done.execution is not None
    assert done.execution["ranks"] == 2
    assert done.tokens == 12 * 128
    assert [checkpoint.step for checkpoint in ready.checkpoints(job_id)] == [12]


@pytest.mark.parametrize("lost", ["training", "rank-1"])
def test_rank_that_is_killed_ends_the_attempt_with_a_cause_and_leaves_no_process(
    ready: House, lost: str
) -> None:
    job_id = new_job(ready, num_steps=100).id
    runner = ready.start("train.2")
    ready.wait_for(lambda: bool(ready.checkpoints(job_id)), "there is a checkpoint")
    processes = processes_of(ready)
    assert sorted(processes) == ["rank-1", "training"]
    os.kill(processes[lost].pid, signal.SIGKILL)
    assert ready.end_of(runner) == 0
    with ready.database.unit_of_work() as uow:
        attempt = uow.attempts.find_latest(job_id)
    assert attempt is not None
    how = "Rank 1 of 2 was killed by signal 9" if lost == "rank-1" else "killed by signal 9"
    assert how in (attempt.cause or "")
    pids = [identity.pid for identity in processes.values()]
    ready.wait_for(lambda: not any(map(is_running, pids)), "no rank is left")
    assert ready.run("train.2") == 0
    done = ready.job(job_id)
    assert done.status is JobStatus.SUCCEEDED
    assert done.tokens == 100 * 128


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
