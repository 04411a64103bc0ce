"""Runners as real processes: from files to a trained model, whatever is killed on the way."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from core.errors import Unavailable
from core.lifecycle import CheckpointStatus, JobStatus, ResourceStatus
from services import job_changes
from services.reconcile import Reconciler, free_leases_of_the_dead
from storage import keys
from tests.integration.workers.conftest import House, story

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

# Every service is tested on both engines; here processes are, which are slow: one engine each.
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"])
on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"])

LONG = {
    "budget": {"steps": 20_000},
    "evaluation": {"every_steps": 20_000},
    "checkpoints": {"every_steps": 20, "keep_last": 2, "keep_best": 0},
    "max_attempts": 20,
}
"""Never at its end before somebody ends it."""
SHORT = {**LONG, "budget": {"steps": 120}, "evaluation": {"every_steps": 120}}


def trainer_pid(house: House) -> int | None:
    """The trainer that runs now."""
    for record in (house.directory / "scratch").glob("*/*/training/child.json"):
        return int(json.loads(record.read_text())["pid"])
    return None


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@on_postgresql
def test_files_become_a_trained_model(house: House) -> None:
    corpus = house.new_corpus()
    job_id = house.new_job(corpus.id).id
    second = house.new_job(corpus.id, tokenizer={"vocab_size": 384}, objective="masked")
    assert house.run("corpus") == 0
    ready = house.corpus(corpus.id)
    assert ready.error is None
    assert ready.status is ResourceStatus.READY
    assert house.run("train.1") == 0
    job = house.job(job_id)
    assert job.error is None
    assert job.status is JobStatus.SUCCEEDED
    assert job.stop_reason == "budget"
    assert job.step == job.num_steps == 12
    assert job.usage["tokens"] == job.tokens == 12 * 128
    assert job.usage["device_seconds"] > 0
    assert house.checkpoints(job_id)[-1].step == 12
    with house.database.unit_of_work() as uow:
        assert [point.step for point in uow.metrics.read(job_id, names=["train/loss"])] == list(
            range(1, 13)
        )
    events = house.events(job_id)
    assert events[:2] == ["job.queued", "job.started"]
    assert events[-1] == "job.succeeded"
    assert house.run("corpus") == 0
    assert house.run("train.1") == 0
    assert house.job(second.id).status is JobStatus.SUCCEEDED
    assert not list((house.directory / "scratch").iterdir())


@on_sqlite
def test_job_on_a_mixture_in_stages_is_trained_and_measured_by_corpus(ready: House) -> None:
    other = ready.new_corpus(story(2))
    mixture = [{"corpus": ready.corpus_id, "weight": 3}, {"corpus": other.id, "weight": 1}]
    stages = {
        "stages": [
            {"until": 0.5, "objective": "causal"},
            {"objective": ["span_corruption", "fill_in_the_middle"]},
        ]
    }
    job_id = ready.new_job(mixture, objective=stages).id
    assert ready.run("corpus") == 0  # the other corpus
    assert ready.run("corpus") == 0  # and its dataset by the first one's tokenizer
    assert ready.run("train.1") == 0
    job = ready.job(job_id)
    assert job.error is None
    assert job.status is JobStatus.SUCCEEDED
    assert job.tokenizer_id == ready.corpus(ready.corpus_id).default_tokenizer_id
    for name in ("validation/bits_per_byte", "data/epochs"):
        assert job.metrics[f"{name}/{ready.corpus_id}"] > 0
        assert job.metrics[f"{name}/{other.id}"] > 0
    with ready.database.unit_of_work() as uow:
        told = uow.events.page(types=["corpus.ready", "dataset.ready"], limit=100).items
    assert (told[0].type, told[0].data["corpus"]) == ("dataset.ready", other.id)
    assert told[0].data["tokenizer"] == job.tokenizer_id
    assert {encoder for event in told[:2] for encoder in event.data["encoders"]} == {"tokenizers"}


@on_sqlite
@pytest.mark.exhaustive  # tests/e2e/test_kills.py does it to every process
def test_killed_trainer_and_killed_runner_change_no_bit_of_the_result(ready: House) -> None:
    undisturbed = ready.new_job(ready.corpus_id, **SHORT).id
    assert ready.run("train.1") == 0
    disturbed = ready.new_job(ready.corpus_id, **SHORT).id

    ready.settings["fault"] = "kill@50"
    assert ready.run("train.1") == 0
    assert ready.job(disturbed).status is JobStatus.QUEUED

    before = ready.checkpoints(disturbed)[-1].step
    ready.settings["fault"] = "hang@110"
    runner = ready.start("train.1")
    ready.wait_for(
        lambda: ready.checkpoints(disturbed)[-1].step > before, "a newer checkpoint is committed"
    )
    pid = trainer_pid(ready)
    assert pid is not None
    runner.kill()
    runner.wait()
    ready.wait_for(lambda: not is_running(pid), "the trainer dies with its runner")
    assert free_leases_of_the_dead(ready.database, doorbell=ready.doorbell) == 1

    ready.settings["fault"] = ""
    assert ready.run("train.1") == 0
    job = ready.job(disturbed)
    assert job.error is None
    assert job.status is JobStatus.SUCCEEDED
    assert ready.weights(disturbed) == ready.weights(undisturbed)
    assert ready.events(disturbed).count("job.recovered") == 2
    with ready.database.unit_of_work() as uow:
        steps = [point.step for point in uow.metrics.read(disturbed, names=["train/loss"])]
    assert steps == list(range(1, 121))


@on_postgresql
def test_cancelled_job_leaves_its_device_and_keeps_its_checkpoints(ready: House) -> None:
    job_id = ready.new_job(ready.corpus_id, **LONG).id
    runner = ready.start("train.1")
    ready.wait_for(lambda: len(ready.checkpoints(job_id)) > 0, "a checkpoint is committed")
    pid = trainer_pid(ready)
    assert pid is not None
    with ready.database.unit_of_work(write=True) as uow:
        job_changes.cancel(uow, job_id)
        uow.commit()
    assert ready.end_of(runner) == 0
    assert not is_running(pid)
    assert ready.job(job_id).status is JobStatus.CANCELLED
    assert ready.events(job_id)[-1] == "job.cancelled"
    assert ready.checkpoints(job_id)


@on_sqlite
def test_paused_job_is_saved_and_goes_on_where_it_was(ready: House) -> None:
    job_id = ready.new_job(ready.corpus_id, **LONG).id
    runner = ready.start("train.1")
    ready.wait_for(lambda: ready.job(job_id).step > 0, "the first step is done")
    with ready.database.unit_of_work(write=True) as uow:
        job_changes.pause(uow, job_id)
        uow.commit()
    assert ready.end_of(runner) == 0
    paused = ready.job(job_id)
    assert paused.status is JobStatus.PAUSED
    assert ready.checkpoints(job_id)[-1].step == paused.step
    with ready.database.unit_of_work(write=True) as uow:
        job_changes.resume(uow, job_id, doorbell=ready.doorbell)
        uow.commit()
    runner = ready.start("train.1")
    ready.wait_for(lambda: ready.job(job_id).step > paused.step, "it has gone on")
    assert ready.leave(runner) == 0
    job = ready.job(job_id)
    assert job.usage["tokens"] == job.tokens, "no step was made twice"


@on_postgresql
@pytest.mark.exhaustive  # stopped in a transaction, it is waited for a minute
def test_runner_that_was_stopped_beyond_its_lease_writes_nothing_more(ready: House) -> None:
    ready.settings["lease_seconds"] = 2.0
    job_id = ready.new_job(ready.corpus_id, **LONG).id
    zombie = ready.start("train.1")
    ready.wait_for(lambda: ready.job(job_id).step > 0, "the first step is done")
    pid = trainer_pid(ready)
    assert pid is not None
    zombie.send_signal(signal.SIGSTOP)
    reconciler = Reconciler(ready.database, ready.doorbell, ready.store, ready.configured())

    def has_run_out() -> bool:
        try:
            return reconciler.expire_leases() == 1
        except Unavailable:  # stopped within a transaction, whose lock PostgreSQL ends in time
            return False

    ready.wait_for(has_run_out, "the lease has run out")
    step = ready.job(job_id).step
    zombie.send_signal(signal.SIGCONT)
    assert ready.end_of(zombie) == 0
    assert not is_running(pid)
    assert ready.job(job_id).status is JobStatus.QUEUED
    assert ready.job(job_id).step == step
    with ready.database.unit_of_work() as uow:
        attempt = uow.attempts.find_latest(job_id)
    assert attempt is not None
    assert attempt.outcome == "abandoned"


@on_sqlite
def test_worker_that_is_asked_to_leave_saves_and_the_next_one_passes_over_what_is_damaged(
    ready: House,
) -> None:
    job_id = ready.new_job(ready.corpus_id, **LONG).id
    runner = ready.start("train.1")
    ready.wait_for(lambda: len(ready.checkpoints(job_id)) >= 2, "two checkpoints are committed")
    assert ready.leave(runner) == 0
    job = ready.job(job_id)
    assert job.status is JobStatus.QUEUED
    with ready.database.unit_of_work() as uow:
        attempt = uow.attempts.find_latest(job_id)
    assert attempt is not None
    assert (attempt.outcome, attempt.exit_code) == ("preempted", 75)

    *_, older, newest = ready.checkpoints(job_id)
    assert newest.step == job.step
    weights = ready.directory / "store" / newest.prefix / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    runner = ready.start("train.1")
    ready.wait_for(lambda: ready.events(job_id).count("job.recovered") == 2, "it goes on")
    ready.wait_for(
        lambda: ready.checkpoints(job_id)[-1].step > older.step, "a newer checkpoint is committed"
    )
    assert ready.leave(runner) == 0
    with ready.database.unit_of_work() as uow:
        assert uow.checkpoints.get(newest.id).status is CheckpointStatus.CORRUPT
    recovered = [event for event in ready.told(job_id) if event.type == "job.recovered"]
    assert recovered[0].level == "warn"
    assert recovered[0].data["step"] == older.step
    assert recovered[1].data["step"] == older.step


@on_sqlite
def test_files_that_hold_no_text_fail_the_corpus_and_the_job_that_waits(house: House) -> None:
    corpus = house.new_corpus(text=" \n \n")
    job_id = house.new_job(corpus.id).id
    assert house.run("corpus") == 0
    failed = house.corpus(corpus.id)
    assert failed.status is ResourceStatus.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "corpus_empty"
    job = house.job(job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error["code"] == "corpus_failed"


@on_postgresql
def test_vocabulary_larger_than_the_text_gives_fails_the_job_with_the_largest(
    ready: House,
) -> None:
    job_id = ready.new_job(ready.corpus_id, tokenizer={"vocab_size": 60_000}).id
    assert ready.run("corpus") == 0
    job = ready.job(job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error["code"] == "tokenizer_failed"
    assert "largest possible" in job.error["message"]


@on_postgresql
def test_corpus_whose_worker_was_killed_is_made_by_a_second_attempt(house: House) -> None:
    corpus = house.new_corpus(text=story(2, 30_000))
    runner = house.start("corpus")
    house.wait_for(
        lambda: house.corpus(corpus.id).status is ResourceStatus.PROCESSING, "it has begun"
    )
    runner.kill()
    runner.wait()
    free_leases_of_the_dead(house.database, doorbell=house.doorbell)
    assert house.run("corpus") == 0
    assert house.corpus(corpus.id).status is ResourceStatus.READY
    assert list(house.store.list(keys.corpus(corpus.id)))


@on_sqlite
@pytest.mark.parametrize("fate", ["gone", pytest.param("damaged", marks=pytest.mark.exhaustive)])
def test_a_dataset_that_the_store_has_lost_is_made_again_once(ready: House, fate: str) -> None:
    job = ready.new_job(ready.corpus_id, budget={"steps": 2})
    for outcome in (JobStatus.QUEUED, JobStatus.FAILED):
        (dataset,) = (ready.directory / "store" / "datasets").iterdir()
        if fate == "damaged":
            shard = dataset / "train-00000.tokens.bin"
            num_bytes = shard.stat().st_size
            shard.unlink()  # its bytes are every house's: written into, they would be lost to all
            shard.write_bytes(bytes(num_bytes))
        else:
            shutil.rmtree(dataset)
        assert ready.run("train.1") == 0
        assert ready.job(job.id).status is outcome, ready.job(job.id).error
        if outcome is JobStatus.QUEUED:
            assert ready.run("corpus") == 0
    [notice] = [
        event.data["notice"]["code"]
        for event in ready.told(job.id)
        if event.level == "warn" and event.data
    ]
    assert notice == "dataset_lost"
    assert (ready.job(job.id).error or {})["code"] == "dataset_damaged"
