from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from openai import ConflictError, NotFoundError, OpenAI, UnprocessableEntityError
from starlette.testclient import TestClient

from api.deps import Service
from core.errors import Unavailable
from core.settings import Settings
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[3]


def test_the_process_is_alive_and_ready(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert {name: ready.json()[name]["status"] for name in ("database", "broker", "store")} == {
        "database": "ok", "broker": "ok", "store": "ok",
    }  # fmt: skip


def test_the_part_that_is_down_is_named(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down() -> None:
        raise Unavailable("The store does not answer.")

    monkeypatch.setattr(service.store, "check", down)
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"]["status"] == "ok"
    assert ready.json()["store"] == {
        "status": "unavailable", "detail": "The store does not answer.",
    }  # fmt: skip


def test_the_limits_are_those_that_are_enforced(client: TestClient, settings: Settings) -> None:
    limits = client.get("/v1/limits").json()
    assert limits["json_bytes"] == settings.max_json_bytes
    too_deep = b"[" * (limits["json_depth"] + 1) + b"]" * (limits["json_depth"] + 1)
    answer = client.post("/v1/jobs", content=too_deep, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    too_long = {"corpus": "c", "model": {"layers": limits["layers"] + 1, "width": 8, "heads": 1}}
    assert client.post("/v1/jobs", json=too_long).json()["error"]["param"] == "model.layers"
    assert limits["devices"] == settings.num_devices
    too_many = {"corpus": "c", "resources": {"devices": limits["devices"] + 1}}
    error = client.post("/v1/jobs", json=too_many).json()["error"]
    assert error["param"] == "resources.devices"
    assert f"have {limits['devices']} (got" in error["message"]


def test_the_limits_name_every_filter_with_its_thresholds(client: TestClient) -> None:
    filters = client.get("/v1/limits").json()["filters"]
    asked = {facts["name"]: facts["thresholds"] for facts in filters if "web" in facts["profiles"]}
    file_id = client.put("/v1/files/a.txt", content=b"text").json()["id"]
    corpus = client.post("/v1/corpora", json={"files": [file_id], "clean": "web"}).json()
    assert corpus["clean"]["filters"] == asked
    all_of_them = {facts["name"]: facts["thresholds"] for facts in filters}
    del all_of_them["language"], all_of_them["contaminated"]  # which need something to look for
    named = {"files": [file_id], "clean": {"filters": all_of_them}}
    assert client.post("/v1/corpora", json=named).json()["clean"]["filters"] == all_of_them


def test_openapi_describes_every_route_with_its_failures(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        assert any(status in operation["responses"] for status in ("200", "201", "202"))
    assert "multipart/form-data" in json.dumps(document["paths"]["/v1/corpora"]["post"])
    assert "ErrorBody" in document["components"]["schemas"]
    references = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document))
    assert set(references) <= document["components"]["schemas"].keys()


@pytest.fixture
def live(settings: Settings) -> Iterator[tuple[str, int]]:
    """A real server process: its URL and its pid."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "--factory", "api.app:create_app"),
            *("--port", str(port), "--log-level", "warning"),
        ],
        env={**os.environ, "PRETRAINER_DATA_DIR": str(settings.data_dir)},
        cwd=ROOT,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline
            try:
                httpx.get(f"{url}/readyz").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.slow
def test_the_stock_openai_client_works_with_files_and_models(live: tuple[str, int]) -> None:
    with OpenAI(base_url=f"{live[0]}/v1", api_key="ptk_anything", max_retries=0) as client:
        made = [
            client.files.create(file=(f"{n}.txt", b"text " * 1000), purpose="fine-tune")
            for n in range(3)
        ]
        assert [file.id for file in client.files.list(limit=2)] == [
            file.id for file in reversed(made)
        ]
        assert client.files.retrieve(made[0].id).bytes == 5000
        assert client.files.content(made[0].id).read() == b"text " * 1000
        assert client.files.delete(made[0].id).deleted is True
        with pytest.raises(NotFoundError) as missing:
            client.files.retrieve(made[0].id)
        assert missing.value.code == "not_found"
        assert (missing.value.request_id or "").startswith("req_")
        with pytest.raises(UnprocessableEntityError) as empty:
            client.files.create(file=("a.txt", b""), purpose="fine-tune")
        assert empty.value.code == "empty_file"
        assert list(client.models.list()) == []
        job = client.post("/corpora", body={"files": [made[1].id]}, cast_to=object)
        assert job
        with pytest.raises(ConflictError) as in_use:
            client.files.delete(made[1].id)
        assert in_use.value.code == "file_in_use"


@pytest.mark.slow
def test_curl_like_uploads_survive_the_death_of_the_process(
    live: tuple[str, int], settings: Settings
) -> None:
    url, pid = live
    answer = httpx.put(f"{url}/v1/files/book.txt", content=b"x" * 100_000)
    psutil.Process(pid).kill()
    assert answer.status_code == 201
    key = next((settings.data_dir / "store" / "files").iterdir())
    assert key.read_bytes() == b"x" * 100_000


@pytest.mark.slow
def test_the_process_is_small_and_free_of_torch(live: tuple[str, int]) -> None:
    process = psutil.Process(live[1])
    httpx.get(f"{live[0]}/openapi.json").raise_for_status()
    assert process.memory_info().rss < 150e6
    assert not [entry for entry in process.memory_maps() if "libtorch" in entry.path]


@pytest.mark.slow
def test_a_stopping_process_ends_its_streams_and_answers_who_waits(live: tuple[str, int]) -> None:
    url, pid = live
    with httpx.stream(
        "GET", f"{url}/v1/events", headers={"accept": "text/event-stream"}, timeout=30
    ) as stream:
        parts = stream.iter_text()
        assert next(parts).startswith(":")
        psutil.Process(pid).terminate()
        assert list(parts) == []
    psutil.Process(pid).wait(timeout=30)
