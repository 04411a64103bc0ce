"""Uploaded folders of models, by real processes."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping

import pytest

from core.lifecycle import CheckpointStatus, JobStatus
from db.tables import Checkpoint
from services import imports
from tests.integration.workers.conftest import House

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.parametrize("engine_name", ["sqlite"], indirect=True),
]
NAMES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def upload(house: House, files: Mapping[str, bytes]) -> list[str]:
    return [house.upload_bytes(data, filename=name) for name, data in files.items()]


def take(house: House, *, files: Mapping[str, bytes] = {}, archive: bytes = b"") -> Checkpoint:
    """Upload and import; what has become of it."""
    with house.database.unit_of_work(write=True) as uow:
        if archive:
            (file_id,) = upload(house, {"model.archive": archive})
            made = imports.create_from_archive(uow, file_id, doorbell=house.doorbell)
        else:
            made = imports.create_from_files(uow, upload(house, files), doorbell=house.doorbell)
        uow.commit()
    assert made.status is CheckpointStatus.QUEUED
    assert house.run("corpus") == 0
    with house.database.unit_of_work() as uow:
        return uow.checkpoints.get(made.id)


@pytest.fixture
def exported(ready: House) -> dict[str, bytes]:
    """The files of a checkpoint of our own."""
    job = ready.new_job(ready.corpus_id, budget={"steps": 2})
    assert ready.run("train.1") == 0
    prefix = ready.directory / "store" / ready.checkpoints(job.id)[-1].prefix
    return {name: (prefix / name).read_bytes() for name in NAMES}


def in_tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"model/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def in_zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def test_our_own_folder_comes_back_as_it_was_and_is_trained_further(
    ready: House, exported: dict[str, bytes]
) -> None:
    taken = [
        take(ready, files=exported),
        take(ready, archive=in_tar(exported)),
        take(ready, archive=in_zip(exported)),
    ]
    with ready.database.unit_of_work() as uow:
        (job,) = uow.jobs.page().items
        for checkpoint in taken:
            assert checkpoint.error is None
            assert checkpoint.status is CheckpointStatus.COMPLETE
            assert checkpoint.job_id is None
            weights = uow.checkpoints.find_file(checkpoint.id, "model.safetensors")
            assert weights is not None
            assert weights.sha256 == ready.weights(job.id)
            assert checkpoint.tokenizer_id == job.tokenizer_id
    again = ready.new_job(
        ready.corpus_id, model={"from": taken[0].id, "context_length": 64}, budget={"steps": 2}
    )
    assert ready.run("train.1") == 0
    assert ready.job(again.id).status is JobStatus.SUCCEEDED, ready.job(again.id).error


def test_a_damaged_folder_fails_with_a_reason_and_leaves_nothing(
    ready: House, exported: dict[str, bytes]
) -> None:
    config = json.loads(exported["config.json"])
    cut_off = exported["model.safetensors"][:-4]
    other = json.dumps({**config, "model_type": "llama"}).encode()
    for field, checkpoint, code in (
        ("files", take(ready, files={**exported, "model.safetensors": cut_off}), "weights_damaged"),
        (
            "archive",
            take(ready, archive=in_tar({**exported, "config.json": other})),
            "architecture_not_supported",
        ),
    ):
        with ready.database.unit_of_work() as uow:
            events = uow.events.read_after(0, limit=1000)
        told = [event.data for event in events if event.type == "checkpoint.failed"]
        assert checkpoint.status is CheckpointStatus.FAILED
        assert checkpoint.error is not None
        assert (checkpoint.error["code"], checkpoint.error["param"]) == (code, field)
        left = ready.directory / "store" / "checkpoints" / checkpoint.id
        assert not left.exists()
        assert {"checkpoint": checkpoint.id, "error": checkpoint.error} in told
    with ready.database.unit_of_work() as uow:
        assert uow.tokenizers.count() == 1
