"""A second job that goes on from the checkpoint of a first, by real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from core.lifecycle import CheckpointStatus, JobStatus
from db.tables import Checkpoint, Job
from models.huggingface import load_model
from tests.integration.workers.conftest import House

pytestmark = pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True)


@pytest.fixture
def first(ready: House) -> Checkpoint:
    job = ready.new_job(ready.corpus_id, budget={"steps": 4})
    assert ready.run("train.1") == 0
    return ready.checkpoints(job.id)[-1]


def continued(house: House, first: Checkpoint) -> Job:
    """Twice the context, four steps."""
    job = house.new_job(
        house.corpus_id,
        model={"from": first.id, "context_length": 64},
        budget={"steps": 4},
    )
    assert house.run("train.1") == 0
    return house.job(job.id)


def folder_of(house: House, job: Job) -> Path:
    latest = house.checkpoints(job.id)[-1]
    return house.store.materialise(latest.prefix, cache=house.directory / "looked-at")


def test_a_job_goes_on_from_another_ones_weights_and_opens_with_the_longer_context(
    ready: House, first: Checkpoint
) -> None:
    import transformers  # noqa: PLC0415 - takes seconds, for this test alone

    job = continued(ready, first)
    assert job.status is JobStatus.SUCCEEDED, job.error
    before = ready.job(first.job_id or "").metrics["validation/loss"]
    assert job.metrics["validation/loss"] < before
    folder = folder_of(ready, job)
    ours = load_model(folder)
    assert ours.shape.context_length == 64
    config = json.loads((folder / "config.json").read_bytes())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] > 10_000
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.arange(64)[None]
    with torch.no_grad():
        assert (theirs(input_ids=ids).logits - ours.logits(ids)).abs().max() < 1e-4
    card = (folder / "README.md").read_text()
    assert "trained further" in card
    assert first.id in card


@pytest.mark.exhaustive
def test_the_same_continuation_twice_gives_the_same_bits(ready: House, first: Checkpoint) -> None:
    weights = [ready.weights(continued(ready, first).id) for _ in range(2)]
    assert weights[0] == weights[1] != ready.weights(first.job_id or "")


@pytest.mark.exhaustive
def test_damaged_weights_to_start_from_fail_the_job_and_are_never_used_again(
    ready: House, first: Checkpoint
) -> None:
    path = ready.directory / "store" / first.prefix / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    job = continued(ready, first)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["param"]) == ("checkpoint_damaged", "model.from")
    with ready.database.unit_of_work() as uow:
        assert uow.checkpoints.get(first.id).status is CheckpointStatus.CORRUPT
