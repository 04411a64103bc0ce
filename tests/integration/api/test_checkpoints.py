from __future__ import annotations

import hashlib
import io
import tarfile
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.api.conftest import Worker

FILES = {
    "config.json": b'{"model_type": "qwen3"}',
    "model.safetensors": bytes(range(256)) * 300,
    "training_state/state.json": b"{}",
}


@pytest.fixture
def trained(client: TestClient, ready_corpus_id: str, worker: Worker) -> dict[str, Any]:
    """A succeeded job with checkpoints at steps 1 (the best) and 2."""
    answer = client.post("/v1/jobs", json={"corpus": ready_corpus_id, "name": "tales/nl"})
    claim = worker.train(losses=[3.0, 4.0])
    worker.save(claim, step=1, loss=3.0, files=FILES)
    worker.save(claim, step=2, loss=4.0, files=FILES)
    worker.finish(claim)
    job: dict[str, Any] = client.get(f"/v1/jobs/{answer.json()['id']}").json()
    assert job["status"] == "succeeded"
    return job


def test_a_checkpoint_names_its_files_with_their_digests(
    client: TestClient, trained: dict[str, Any]
) -> None:
    best = client.get(f"/v1/checkpoints/{trained['best_checkpoint']}").json()
    assert (best["step"], best["best"], best["job"]) == (1, True, trained["id"])
    assert best["metrics"] == {"validation/loss": 3.0}
    for file in best["files"]:
        content = client.get(file["url"])
        assert content.headers["etag"] == f'"{file["sha256"]}"'
        assert hashlib.sha256(content.content).hexdigest() == file["sha256"]
        assert len(content.content) == file["bytes"]
    assert {file["name"] for file in best["files"]} == {*FILES, "manifest.json"}
    assert best["bytes"] == sum(file["bytes"] for file in best["files"])


def test_an_interrupted_file_goes_on(client: TestClient, trained: dict[str, Any]) -> None:
    url = f"/v1/checkpoints/{trained['best_checkpoint']}/files/model.safetensors"
    whole = FILES["model.safetensors"]
    first = client.get(url, headers={"range": "bytes=0-999"})
    etag = first.headers["etag"]
    rest = client.get(url, headers={"range": "bytes=1000-", "if-range": etag})
    assert first.content + rest.content == whole
    beyond = client.get(url, headers={"range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"
    changed = client.get(url, headers={"range": "bytes=1000-", "if-range": '"other"'})
    assert changed.content == whole


@pytest.mark.parametrize("name", ["nothing.bin", "../../pretrainer.db", "%2e%2e/x", "config.json/"])
def test_only_named_files_are_served(
    client: TestClient, trained: dict[str, Any], name: str
) -> None:
    url = f"/v1/checkpoints/{trained['best_checkpoint']}/files/{name}"
    assert client.get(url).status_code == 404


def test_the_archive_has_a_known_length_and_can_be_resumed(
    client: TestClient, trained: dict[str, Any]
) -> None:
    url = f"/v1/checkpoints/{trained['best_checkpoint']}/archive"
    whole = client.get(url)
    assert int(whole.headers["content-length"]) == len(whole.content)
    rest = client.get(url, headers={"range": "bytes=5000-", "if-range": whole.headers["etag"]})
    assert (rest.status_code, rest.content) == (206, whole.content[5000:])
    with tarfile.open(fileobj=io.BytesIO(whole.content)) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert names == {"config.json", "model.safetensors", "manifest.json"}
    full = client.get(f"{url}?training_state=true")
    with tarfile.open(fileobj=io.BytesIO(full.content)) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert names == {*FILES, "manifest.json"}
    assert full.headers["etag"] != whole.headers["etag"]


def test_a_checkpoint_is_pinned_and_deleted(client: TestClient, trained: dict[str, Any]) -> None:
    url = f"/v1/checkpoints/{trained['latest_checkpoint']}"
    assert client.patch(url, json={"pinned": True}).json()["pinned"] is True
    assert client.patch(url, json={"pinned": "yes"}).json()["error"]["param"] == "pinned"
    assert client.delete(url).json()["deleted"] is True
    assert client.get(url).json()["status"] == "deleted"
    gone = client.get(f"{url}/files/config.json")
    assert (gone.status_code, gone.json()["error"]["code"]) == (409, "checkpoint_deleted")
    listed = client.get(f"/v1/checkpoints?job={trained['id']}").json()["data"]
    assert [row["id"] for row in listed] == [trained["best_checkpoint"]]
    deleted = client.get("/v1/checkpoints?status=deleted").json()["data"]
    assert [row["id"] for row in deleted] == [trained["latest_checkpoint"]]


def test_a_job_lists_its_checkpoints_newest_first(
    client: TestClient, trained: dict[str, Any]
) -> None:
    listed = client.get(f"/v1/jobs/{trained['id']}/checkpoints").json()["data"]
    assert [row["step"] for row in listed] == [2, 1]


@pytest.mark.parametrize(
    ("suffix", "step"), [("", 1), (":best", 1), (":latest", 2), (":step-1", 1), (":step-2", 2)]
)
@pytest.mark.parametrize("by", ["name", "id"])
def test_a_model_is_found_by_the_name_of_its_job(
    client: TestClient, trained: dict[str, Any], by: str, suffix: str, step: int
) -> None:
    name = f"{trained[by]}{suffix}"
    model = client.get(f"/v1/models/{name.replace('/', '%2F')}").json()
    assert (model["id"], model["object"], model["step"]) == (name, "model", step)


def test_every_complete_checkpoint_is_a_model(client: TestClient, trained: dict[str, Any]) -> None:
    models = client.get("/v1/models").json()["data"]
    ids = [trained["latest_checkpoint"], trained["best_checkpoint"]]
    assert [model["id"] for model in models] == ids
    assert client.get(f"/v1/models/{ids[0]}").json()["checkpoint"] == ids[0]
    for unknown in (f"{trained['id']}:step-7", f"{trained['id']}:newest", "nobody"):
        answer = client.get(f"/v1/models/{unknown}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert client.delete(f"/v1/models/{trained['id']}:latest").json()["deleted"] is True
    assert client.get(f"/v1/models/{trained['id']}:latest").json()["step"] == 1
