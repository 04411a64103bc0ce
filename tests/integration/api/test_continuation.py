"""Going on from checkpoints, and uploading them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.integration.api.conftest import Worker

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
NAMES = ("config.json", "tokenizer.json", "model.safetensors")


@pytest.fixture
def checkpoint(client: TestClient, ready_corpus_id: str, worker: Worker) -> str:
    client.post("/v1/jobs", json={"corpus": ready_corpus_id, "model": "tiny"})
    claim = worker.train(losses=[3.0])
    worker.save(claim, step=1, loss=3.0, files=FILES)
    worker.finish(claim)
    found: list[dict[str, Any]] = client.get("/v1/checkpoints").json()["data"]
    return str(found[0]["id"])


def upload(client: TestClient, *names: str) -> list[str]:
    return [client.put(f"/v1/files/{name}", content=name.encode()).json()["id"] for name in names]


def test_a_job_goes_on_from_a_checkpoint_and_its_recipe_says_so(
    client: TestClient, ready_corpus_id: str, checkpoint: str
) -> None:
    body = {"corpus": ready_corpus_id, "model": {"from": checkpoint, "context_length": 512}}
    answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 201, answer.text
    spec = answer.json()["spec"]
    assert spec["start"]["checkpoint"] == checkpoint
    assert (spec["model"]["layers"], spec["model"]["context_length"]) == (4, 512)
    recipe = client.get(f"/v1/jobs/{answer.json()['id']}/recipe").json()
    assert recipe["model"] == body["model"]
    assert client.post("/v1/jobs", json=recipe).json()["spec"] == spec
    refused = client.delete(f"/v1/checkpoints/{checkpoint}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "checkpoint_in_use")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": {"from": "ckpt_none"}}, (404, "not_found", "model.from")),
        ({"model": {"layers": 2}}, (422, "invalid_value", "model.layers")),
        ({"model": {"preset": "tiny"}}, (422, "invalid_value", "model.preset")),
        ({"model": {"from_checkpoint": "x"}}, (422, "unknown_field", "model.from_checkpoint")),
        ({"objective": "masked"}, (422, "objective_needs_another_architecture", "objective")),
        ({"tokenizer": {"vocab_size": 4096}}, (422, "tokenizer_does_not_match", "tokenizer")),
    ],
)
def test_what_does_not_go_with_a_checkpoint_is_refused(
    client: TestClient,
    ready_corpus_id: str,
    checkpoint: str,
    fields: dict[str, Any],
    expected: tuple[int, str, str],
) -> None:
    model = {"from": checkpoint, **fields.pop("model", {})}
    answer = client.post("/v1/jobs", json={"corpus": ready_corpus_id, "model": model, **fields})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == expected


def test_an_uploaded_folder_waits_to_be_checked(client: TestClient) -> None:
    file_ids = upload(client, *NAMES)
    answer = client.post("/v1/checkpoints", json={"files": file_ids})
    assert answer.status_code == 202
    made = answer.json()
    assert (made["status"], made["job"], made["files"]) == ("queued", None, [])
    assert client.get("/v1/checkpoints").json()["data"] == []
    assert client.get("/v1/checkpoints", params={"status": "queued"}).json()["data"] == [made]
    in_use = client.delete(f"/v1/files/{file_ids[0]}")
    assert (in_use.status_code, in_use.json()["error"]["code"]) == (409, "file_in_use")
    for path in ("archive", "files/config.json"):
        early = client.get(f"/v1/checkpoints/{made['id']}/{path}")
        assert (early.status_code, early.json()["error"]["code"]) == (409, "checkpoint_queued")
    assert client.delete(f"/v1/checkpoints/{made['id']}").status_code == 200
    assert client.get(f"/v1/checkpoints/{made['id']}").json()["status"] == "deleted"
    assert client.delete(f"/v1/files/{file_ids[0]}").status_code == 200


def test_a_job_waits_for_no_checkpoint_that_is_not_checked(
    client: TestClient, ready_corpus_id: str
) -> None:
    (archive,) = upload(client, "model.tar")
    made = client.post("/v1/checkpoints", json={"archive": archive}).json()
    body = {"corpus": ready_corpus_id, "model": {"from": made["id"]}}
    answer = client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "checkpoint_queued")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("config.json", "tokenizer.json", "pytorch_model.bin"), "weights_not_safetensors"),
        (("config.json", "model.safetensors"), "file_missing"),
        ((*NAMES, "config.json"), "file_name_twice"),
    ],
)
def test_files_that_are_no_model_by_their_names_are_refused_at_once(
    client: TestClient, names: tuple[str, ...], code: str
) -> None:
    answer = client.post("/v1/checkpoints", json={"files": upload(client, *names)})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, code, "files")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 422, None),
        ({"files": [], "archive": "file_1"}, 422, "files"),
        ({"files": ["file_1"], "archive": "file_1"}, 422, None),
        ({"files": ["file_nothing"]}, 404, "files"),
        ({"archive": "file_nothing"}, 404, "archive"),
        ({"archive": 3}, 422, "archive"),
    ],
)
def test_a_wrong_request_for_a_checkpoint_is_refused(
    client: TestClient, body: dict[str, Any], status: int, param: str | None
) -> None:
    answer = client.post("/v1/checkpoints", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
