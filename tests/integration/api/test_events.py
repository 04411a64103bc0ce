from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient

from api.deps import Service
from api.streams import EventStream
from db.tables import DEFAULT_PROJECT_ID
from tests.integration.api.conftest import Worker

STREAM = {"accept": "text/event-stream"}


@pytest.fixture
def job_id(client: TestClient, ready_corpus_id: str) -> str:
    identifier: str = client.post("/v1/jobs", json={"corpus": ready_corpus_id}).json()["id"]
    return identifier


def frames(text: str) -> list[dict[str, Any]]:
    """The frames of a stream: id, event and data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            found.append({**fields, "data": json.loads(fields["data"])})
    return found


def listen(client: TestClient, job_id: str, **headers: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/jobs/{job_id}/events", headers={**STREAM, **headers})
    assert answer.headers["content-type"].startswith("text/event-stream")
    return frames(answer.text)


def test_a_stream_begins_with_the_first_event_and_ends_with_the_last(
    client: TestClient, job_id: str, worker: Worker
) -> None:
    claim = worker.train(losses=[3.0])
    worker.save(claim, step=1, loss=3.0, files={"config.json": b"{}"})
    worker.finish(claim)
    seen = listen(client, job_id)
    listed = client.get(f"/v1/jobs/{job_id}/events?order=asc").json()["data"]
    assert [frame["data"] for frame in seen] == listed
    assert [frame["id"] for frame in seen] == [event["id"] for event in listed]
    assert seen[0]["event"] == "job.queued"
    assert seen[-1]["event"] == "job.succeeded"
    assert all(event["job"] == job_id for event in listed)


def test_a_stream_goes_on_after_the_last_seen_event_and_then_has_nothing_more(
    client: TestClient, job_id: str
) -> None:
    client.post(f"/v1/jobs/{job_id}/pause")
    client.post(f"/v1/jobs/{job_id}/cancel")
    seen = listen(client, job_id)
    rest = listen(client, job_id, **{"last-event-id": seen[0]["id"]})
    assert rest == seen[1:]
    url = f"/v1/jobs/{job_id}/events"
    over = client.get(url, headers={**STREAM, "last-event-id": seen[-1]["id"]})
    assert (over.status_code, over.content) == (204, b"")


def test_a_stream_after_an_event_that_cannot_be_begins_with_the_first(
    client: TestClient, job_id: str
) -> None:
    client.post(f"/v1/jobs/{job_id}/cancel")
    beyond_64_bits = f"event_{'f' * 24}"
    assert listen(client, job_id, **{"last-event-id": beyond_64_bits}) == listen(client, job_id)


def test_who_listens_hears_of_what_happens_meanwhile(
    client: TestClient, job_id: str, worker: Worker
) -> None:
    heard: list[dict[str, Any]] = []
    listener = threading.Thread(target=lambda: heard.extend(listen(client, job_id)))
    listener.start()
    claim = worker.train(losses=[3.0])
    worker.finish(claim)
    listener.join(timeout=120)
    assert not listener.is_alive()
    types = [frame["event"] for frame in heard]
    assert types[0] == "job.queued"
    assert "job.started" in types
    assert types[-1] == "job.succeeded"
    assert len({frame["id"] for frame in heard}) == len(heard)


def test_the_events_of_the_project_are_listed_by_type(client: TestClient, job_id: str) -> None:
    everything = client.get("/v1/events?order=asc").json()["data"]
    assert {event["type"] for event in everything} >= {"corpus.ready", "job.queued"}
    [queued] = client.get("/v1/events?type=job.queued").json()["data"]
    assert queued["job"] == job_id
    after = client.get(f"/v1/events?order=asc&after={everything[0]['id']}").json()["data"]
    assert after == everything[1:]


def test_a_comment_keeps_a_quiet_stream_open(
    client: TestClient, service: Service, job_id: str
) -> None:
    async def first_parts() -> list[str]:
        stream = EventStream(service, DEFAULT_PROJECT_ID, job_id, keep_alive_seconds=0.01)
        answer = await stream.respond(None)
        assert isinstance(answer, StreamingResponse)
        parts: list[str] = []
        async for part in answer.body_iterator:
            parts.append(str(part))
            if len(parts) == 4:
                return parts
        return parts

    assert client.portal is not None
    opening, queued, *quiet = client.portal.call(first_parts)
    assert opening.startswith(":")
    assert "event: job.queued" in queued
    assert all(part.startswith(":") and part.endswith("\n\n") for part in quiet)
