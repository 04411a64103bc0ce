"""The whole chain behind the broker: doorbell, Celery worker, runner, child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.valkey import PrivateValkey
from core.errors import Unavailable
from core.lifecycle import JobStatus
from services.doorbell import CeleryDoorbell
from services.reconcile import Reconciler
from tests.integration.workers.conftest import House

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(150),
    # The database takes no part in what is tested here.
    pytest.mark.parametrize("engine_name", ["sqlite"]),
]
LONG = {
    "budget": {"steps": 20_000},
    "evaluation": {"every_steps": 20_000},
    "checkpoints": {"every_steps": 20_000, "keep_last": 2, "keep_best": 0},
}
"""Never at its end before somebody ends it; saved only when asked to leave."""


class Broker:
    """A private Valkey server."""

    def __init__(self, directory: Path) -> None:
        self._valkey = PrivateValkey(directory)
        self.url = self._valkey.url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._valkey.command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def remove(self) -> None:
        self.stop()
        self._valkey.remove_socket()


def answers(doorbell: CeleryDoorbell) -> bool:
    try:
        doorbell.check()
    except Unavailable:
        return False
    return True


@pytest.fixture
def broker() -> Iterator[Broker]:
    with tempfile.TemporaryDirectory() as directory:  # pytest's own path is too long for a socket
        found = Broker(Path(directory))
        found.start()
        yield found
        found.remove()


@pytest.fixture
def doorbell(broker: Broker) -> Iterator[CeleryDoorbell]:
    found = CeleryDoorbell(broker.url)
    yield found
    found.close()


def start_worker(house: House, broker: Broker) -> subprocess.Popen[bytes]:
    house.settings["broker_url"] = broker.url
    return house.start_process(
        *("celery", "-A", "workers.celery_app", "worker", "--pool", "threads"),
        *("--concurrency", "1", "-Q", "corpus,train.1", "--loglevel", "info"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )


def children(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    found: set[int] = set()
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, thread.read_text().split()):
            found |= {child} | children(child)
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_ring_brings_a_corpus_and_a_job_to_their_end(
    house: House, broker: Broker, doorbell: CeleryDoorbell
) -> None:
    house.doorbell = doorbell
    house.wait_for(lambda: answers(doorbell), "the broker answers")
    worker = start_worker(house, broker)
    corpus = house.new_corpus()
    job_id = house.new_job(corpus.id).id
    house.wait_for(lambda: house.job(job_id).status.is_final, "the job has ended")
    job = house.job(job_id)
    assert job.error is None
    assert job.status is JobStatus.SUCCEEDED
    maps = Path(f"/proc/{worker.pid}/maps").read_text()
    assert "libtorch" not in maps
    assert house.leave(worker) == 0


def test_worker_that_is_shut_down_saves_its_job_first(
    ready: House, broker: Broker, doorbell: CeleryDoorbell
) -> None:
    ready.doorbell = doorbell
    ready.wait_for(lambda: answers(doorbell), "the broker answers")
    worker = start_worker(ready, broker)
    job_id = ready.new_job(ready.corpus_id, **LONG).id
    ready.wait_for(lambda: ready.job(job_id).step > 0, "the first step is done")
    assert ready.leave(worker) == 0
    job = ready.job(job_id)
    assert job.status is JobStatus.QUEUED
    assert ready.checkpoints(job_id)[-1].step == job.step
    ready.wait_for(lambda: doorbell.waiting("train.1") == 1, "the job is rung for")


def test_killed_worker_leaves_no_process_and_its_job_is_free_at_once(
    ready: House, broker: Broker, doorbell: CeleryDoorbell
) -> None:
    ready.settings["lease_seconds"] = 600
    ready.doorbell = doorbell
    ready.wait_for(lambda: answers(doorbell), "the broker answers")
    worker = start_worker(ready, broker)
    job_id = ready.new_job(ready.corpus_id, **LONG).id
    ready.wait_for(lambda: ready.job(job_id).step > 0, "the first step is done")
    below = children(worker.pid)
    assert len(below) >= 2
    worker.kill()
    worker.wait()
    ready.wait_for(lambda: not any(map(is_running, below)), "every process has died")
    second = start_worker(ready, broker)
    ready.wait_for(lambda: "job.recovered" in ready.events(job_id), "the job goes on")
    runner = next(pid for pid in children(second.pid) if b"workers.runner" in _command_line(pid))
    os.kill(runner, signal.SIGKILL)
    reconciler = Reconciler(ready.database, doorbell, ready.store, ready.configured())
    ready.wait_for(
        lambda: reconciler.run_once() and ready.job(job_id).status is JobStatus.QUEUED, "it rests"
    )
    with ready.database.unit_of_work(write=True) as uow:
        task = uow.work.find_for(job_id)
        assert task is not None
        assert task.not_before is not None
        task.not_before = None  # it would rest for seconds
        uow.commit()
    ready.wait_for(
        lambda: reconciler.run_once() and ready.events(job_id).count("job.recovered") == 2,
        "it goes on again after its rest",
    )


def test_job_is_found_again_after_the_broker_has_lost_everything(
    ready: House, broker: Broker, doorbell: CeleryDoorbell
) -> None:
    ready.wait_for(lambda: answers(doorbell), "the broker answers")
    worker = start_worker(ready, broker)
    job_id = ready.new_job(ready.corpus_id).id  # with a doorbell that rings nowhere
    reconciler = Reconciler(ready.database, doorbell, ready.store, ready.configured())
    ready.wait_for(
        lambda: bool(reconciler.run_once()) and ready.job(job_id).status.is_final, "it has ended"
    )
    assert ready.job(job_id).status is JobStatus.SUCCEEDED
    assert worker.poll() is None


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
