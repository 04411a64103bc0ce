from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from api.deps import Service
from services.job_runs import Probes
from tests.integration.api.conftest import Worker

_REFUSE_EVENTS = text(
    "CREATE TRIGGER refuse BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no room'); END"
)


def submit(client: TestClient, corpus_id: str, **fields: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json={"corpus": corpus_id, "model": "tiny", **fields})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    return job


def test_a_job_answers_back_every_default(client: TestClient, ready_corpus_id: str) -> None:
    job = submit(client, ready_corpus_id, objective="masked")
    assert job["status"] == "queued"
    assert job["spec"]["model"]["architecture"] == "encoder"
    assert job["spec"]["budget"]["epochs"] == 4
    assert job["model"]["num_parameters"] > 0
    assert job["progress"]["num_steps"] > 0
    assert job["queue"]["position"] == 1
    assert client.get(f"/v1/jobs/{job['id']}").json() == job


def test_a_job_waits_for_its_corpus(client: TestClient, corpus_id: str, worker: Worker) -> None:
    job = submit(client, corpus_id)
    assert job["spec"] is None
    assert corpus_id in job["queue"]["waiting_reason"]
    worker.build_corpus()
    job = client.get(f"/v1/jobs/{job['id']}").json()
    assert job["spec"]["corpus"] == corpus_id
    assert corpus_id not in job["queue"]["waiting_reason"]


def test_a_recipe_gives_the_same_spec_again(client: TestClient, ready_corpus_id: str) -> None:
    first = submit(client, ready_corpus_id, seed=3, budget={"tokens": "1M"}, name="first")
    recipe = client.get(f"/v1/jobs/{first['id']}/recipe").json()
    answer = client.post("/v1/jobs", json=recipe)
    assert answer.status_code == 201, answer.text
    assert answer.json()["spec"] == first["spec"]


def test_a_job_is_steered_with_empty_bodies(client: TestClient, ready_corpus_id: str) -> None:
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    headers = {"content-type": "application/json"}
    assert client.post(f"{url}/pause", headers=headers).json()["status"] == "paused"
    assert client.post(f"{url}/resume", headers=headers).json()["status"] == "queued"
    assert client.post(f"{url}/resume").json()["error"]["code"] == "job_not_paused"
    assert client.post(f"{url}/cancel", headers=headers).json()["status"] == "cancelled"
    refused = client.post(f"{url}/pause")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "job_already_finished")
    assert refused.headers["x-should-retry"] == "false"


def test_a_job_can_be_renamed_and_moved_ahead(client: TestClient, ready_corpus_id: str) -> None:
    submit(client, ready_corpus_id)
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    assert client.get(url).json()["queue"]["jobs_ahead"] == 1
    changed = client.patch(url, json={"name": "urgent", "priority": 5, "metadata": {"a": "b"}})
    assert changed.json()["name"] == "urgent"
    assert changed.json()["metadata"] == {"a": "b"}
    assert changed.json()["queue"]["jobs_ahead"] == 0


def test_jobs_are_found_by_status_and_metadata(client: TestClient, ready_corpus_id: str) -> None:
    first = submit(client, ready_corpus_id, metadata={"team": "a"})
    second = submit(client, ready_corpus_id, metadata={"team": "b"})
    client.post(f"/v1/jobs/{first['id']}/cancel")

    def found(query: str) -> list[str]:
        return [job["id"] for job in client.get(f"/v1/jobs?{query}").json()["data"]]

    assert found("") == [second["id"], first["id"]]
    assert found("status=queued") == [second["id"]]
    assert found("status=queued&status=cancelled&order=asc") == [first["id"], second["id"]]
    assert found("metadata%5Bteam%5D=a") == [first["id"]]


def test_metrics_come_oldest_first_and_thinned(
    client: TestClient, ready_corpus_id: str, worker: Worker
) -> None:
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    worker.train(losses=[9.0 - step / 100 for step in range(300)])
    points = client.get(f"{url}/metrics?name=train/loss").json()["data"]
    assert [point["step"] for point in points] == list(range(1, 301))
    assert points[0] == {**points[0], "name": "train/loss", "value": 9.0, "tokens": 100}
    thin = client.get(f"{url}/metrics?name=train/loss&resolution=10").json()["data"]
    assert (len(thin), thin[0]["step"], thin[-1]["step"]) == (10, 1, 300)
    some = client.get(f"{url}/metrics?name=train/loss&from_step=5&to_step=6").json()["data"]
    assert [point["step"] for point in some] == [5, 6]
    job = client.get(url).json()
    assert job["metrics"]["train/loss"] == points[-1]["value"]
    assert job["attempts"] == 1
    assert client.get(f"{url}/attempts").json()["data"][0]["number"] == 1
    picture = ET.fromstring(client.get(f"{url}/loss.svg").content)
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 2


def test_what_the_model_said_is_told_newest_first(
    client: TestClient, ready_corpus_id: str, worker: Worker
) -> None:
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    claim = worker.train(losses=[9.0, 8.0])
    said = {"prompt": "Once", "text": " upon a time"}
    guess = {"text": "guitar", "probability": 0.5}
    filling = {"blank": "a ____", "text": "a guitar", "candidates": [[guess]]}
    worker.probe(claim, [Probes(step=1, continuations=[said])])
    worker.probe(claim, [Probes(step=2, fillings=[filling])])
    probes = client.get(f"{url}/probes").json()["data"]
    assert [(probe["step"], probe["continuations"], probe["fillings"]) for probe in probes] == [
        (2, [], [filling]), (1, [said], []),
    ]  # fmt: skip
    older = client.get(f"{url}/probes", params={"after": probes[0]["id"]}).json()
    assert (older["data"], older["has_more"]) == (probes[1:], False)


def test_tensorboard_opens_what_a_job_has_measured_and_said(
    client: TestClient, ready_corpus_id: str, worker: Worker, tmp_path: Path
) -> None:
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    claim = worker.train(losses=[9.0, 8.0, math.nan, 7.0])
    for step in (2, 4):
        said = {"prompt": "Once", "text": f" upon {step} times"}
        worker.probe(claim, [Probes(step=step, continuations=[said])])
    answer = client.get(f"{url}/tensorboard")
    name = answer.headers["content-disposition"].partition("filename=")[2].strip('"')
    (tmp_path / name).write_bytes(answer.content)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert set(read.Tags()["scalars"]) == {"train/loss", "validation/loss"}
    losses = [(point.step, point.value) for point in read.Scalars("train/loss")]
    assert losses == [(1, 9.0), (2, 8.0), (4, 7.0)]
    assert [said.step for said in read.Tensors("probes/Once")] == [2, 4]


def test_a_running_job_says_what_it_is_asked_to_do(
    client: TestClient, ready_corpus_id: str, worker: Worker
) -> None:
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    worker.train(losses=[9.0])
    assert client.post(f"{url}/pause").json()["status_reason"] == "is being paused"
    assert client.post(f"{url}/resume").json()["status_reason"] is None
    cancelled = client.post(f"{url}/cancel").json()
    assert (cancelled["status"], cancelled["status_reason"]) == ("running", "is being cancelled")


def test_waiting_ends_when_the_status_changes(
    client: TestClient, ready_corpus_id: str, worker: Worker
) -> None:
    job = submit(client, ready_corpus_id)
    url = f"/v1/jobs/{job['id']}"
    answers: list[dict[str, Any]] = []
    waiter = threading.Thread(
        target=lambda: answers.append(client.get(f"{url}?wait=300&after_status=queued").json())
    )
    waiter.start()
    worker.claim("train.1")
    waiter.join(timeout=120)
    assert [answer["status"] for answer in answers] == ["running"]


def test_waiting_ends_with_the_time_and_at_once_where_nothing_can_change(
    client: TestClient, ready_corpus_id: str
) -> None:
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    assert client.get(f"{url}?wait=0.05&after_status=queued").json()["status"] == "queued"
    assert client.get(f"{url}?wait=300&after_status=running").json()["status"] == "queued"
    client.post(f"{url}/cancel")
    assert client.get(f"{url}?wait=300&after_status=cancelled").json()["status"] == "cancelled"


def test_sixty_waiting_clients_hold_no_thread(client: TestClient, ready_corpus_id: str) -> None:
    url = f"/v1/jobs/{submit(client, ready_corpus_id)['id']}"
    waiters = [
        threading.Thread(target=client.get, args=(f"{url}?wait=300&after_status=queued",))
        for _ in range(60)
    ]
    for waiter in waiters:
        waiter.start()
    assert client.get("/v1/jobs").status_code == 200
    assert client.post(f"{url}/cancel").status_code == 200
    for waiter in waiters:
        waiter.join(timeout=120)
        assert not waiter.is_alive()


def test_the_commit_comes_before_the_answer(
    client: TestClient, service: Service, ready_corpus_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from inside: when the first byte of a 201 leaves, another connection finds the job."""
    app: Any = client.app
    found: list[int] = []
    inner = app.build_middleware_stack()

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        async def look_then_send(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] == 201:
                with service.database.unit_of_work() as uow:
                    found.append(uow.jobs.count())
            await send(message)

        await inner(scope, receive, look_then_send)

    monkeypatch.setattr(app, "middleware_stack", watching)
    submit(client, ready_corpus_id)
    assert found == [1]


def test_a_commit_that_fails_is_no_success(
    client: TestClient, service: Service, ready_corpus_id: str
) -> None:
    with service.database.unit_of_work(write=True) as uow:
        uow.session.execute(_REFUSE_EVENTS)  # the last rows that a commit writes
        uow.commit()
    answer = client.post("/v1/jobs", json={"corpus": ready_corpus_id})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert client.get("/v1/jobs").json()["data"] == []
