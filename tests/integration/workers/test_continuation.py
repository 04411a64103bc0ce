"""A second job that goes on from the checkpoint of a first, by real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.lifecycle import CheckpointStatus, JobStatus
from db.tables import Checkpoint
from models.huggingface import load_model
from tests.integration.workers.conftest import House


def folder_of(house: House, job_id: str) -> Path:
    latest = house.checkpoints(job_id)[-1]
    return house.store.materialise(latest.prefix, cache=house.directory / "looked-at")


@pytest.fixture
def first(ready: House) -> Checkpoint:
    job = ready.new_job(ready.corpus_id, budget={"steps": 4})
    assert ready.run("train.1") == 0
    return ready.checkpoints(job.id)[-1]


def test_a_job_goes_on_from_another_ones_weights_with_a_longer_context(
    ready: House, first: Checkpoint
) -> None:
    ids = []
    for _ in range(2):
        job = ready.new_job(
            ready.corpus_id,
            model={"from": first.id, "context_length": 64},
            budget={"steps": 4},
            batch_tokens=128,
        )
        assert ready.run("train.1") == 0
        assert ready.job(job.id).status is JobStatus.SUCCEEDED, ready.job(job.id).error
        ids.append(job.id)
    assert ready.weights(ids[0]) == ready.weights(ids[1]) != ready.weights(first.job_id or "")
    folder = folder_of(ready, ids[0])
    model = load_model(folder)
    assert model.shape.context_length == 64
    assert model.shape.rotary_base > 10_000
    config = json.loads((folder / "config.json").read_bytes())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"]
    card = (folder / "README.md").read_text()
    assert "trained from scratch" not in card
    assert first.id in card


def test_damaged_weights_to_start_from_fail_the_job_and_are_never_used_again(
    ready: House, first: Checkpoint
) -> None:
    job = ready.new_job(ready.corpus_id, model={"from": first.id})
    path = ready.directory / "store" / first.prefix / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert ready.run("train.1") == 0
    ended = ready.job(job.id)
    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert (ended.error["code"], ended.error["param"]) == ("checkpoint_damaged", "model.from")
    with ready.database.unit_of_work() as uow:
        assert uow.checkpoints.get(first.id).status is CheckpointStatus.CORRUPT
