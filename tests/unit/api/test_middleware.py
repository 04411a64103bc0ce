from __future__ import annotations

import asyncio
import logging

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api import errors, middleware
from api.middleware import BodyPace, is_loopback


def application(*, host: str) -> FastAPI:
    app = FastAPI(redirect_slashes=False)

    def fail() -> None:
        raise RuntimeError("the secret inside")

    def answer() -> dict[str, str]:
        return {"text": "hello"}

    app.add_api_route("/fail", fail)
    app.add_api_route("/answer", answer)
    errors.install(app, app.routes)
    middleware.install(app, host=host)
    return app


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(application(host="127.0.0.1"), base_url="http://localhost:8000")


def test_every_answer_has_a_request_id_of_its_own(client: TestClient) -> None:
    ids = [client.get(path).headers["x-request-id"] for path in ("/answer", "/nothing", "/fail")]
    assert len(set(ids)) == 3
    assert all(request_id.startswith("req_") for request_id in ids)


def test_an_unforeseen_failure_says_nothing_of_our_insides_but_the_log_does(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get("/fail")
    request_id = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert request_id in answer.text
    assert request_id in caplog.text
    assert "the secret inside" in caplog.text


def test_an_unknown_path_and_method_are_answered_in_the_shape_of_errors(
    client: TestClient,
) -> None:
    missing, wrong = client.get("/nothing"), client.delete("/answer")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, HEAD"


def test_the_page_of_documentation_names_its_methods_too(client: TestClient) -> None:
    assert "GET" in client.delete("/openapi.json").headers["allow"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "192.168.1.7:8000"},
        {"host": ""},
        {"host": "evil.example@localhost"},
        {"host": "localhost/evil.example"},
        {"host": "localhost:evil"},
        {"host": "[::1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_on_loopback_a_foreign_host_or_origin_is_refused(
    client: TestClient, headers: dict[str, str]
) -> None:
    answer = client.get("/answer", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"},
        {"host": "127.0.0.1:8000"},
        {"host": "[::1]:8000"},
        {"origin": "http://localhost:3000"},
        {"authorization": "Bearer whatever"},
    ],
)
def test_on_loopback_this_machine_is_answered(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/answer", headers=headers).status_code == 200


def test_elsewhere_the_name_of_the_host_is_not_looked_at() -> None:
    client = TestClient(application(host="0.0.0.0"), base_url="http://trainer.example")
    assert client.get("/answer").status_code == 200


@pytest.mark.parametrize("path", ["/answer?x=%00", "/a%00b"])
def test_an_address_with_a_nul_character_is_refused(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_is_recognised(host: str, expected: bool) -> None:  # noqa: FBT001 - the expectation
    assert is_loopback(host) is expected


async def _statuses(
    *, pause_seconds: float, num_pauses: int, idle_seconds: float = 0.05
) -> list[int]:
    """What a client gets that sends a body with pauses, where so much silence is too long."""
    app = FastAPI()
    statuses: list[int] = []

    async def read(request: Request) -> dict[str, int]:
        return {"received": len(await request.body())}

    app.add_api_route("/read", read, methods=["POST"])
    errors.install(app, app.routes)
    sent = 0

    async def receive() -> Message:
        nonlocal sent
        await asyncio.sleep(pause_seconds)
        sent += 1
        return {"type": "http.request", "body": b"x", "more_body": sent <= num_pauses}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http", "method": "POST", "path": "/read", "raw_path": b"/read",
        "query_string": b"", "headers": [], "http_version": "1.1", "scheme": "http",
        "server": ("localhost", 80), "client": ("localhost", 1), "root_path": "",
    }  # fmt: skip
    await BodyPace(app, idle_seconds=idle_seconds)(scope, receive, send)
    return statuses


def test_a_body_that_stalls_is_given_up() -> None:
    assert asyncio.run(_statuses(pause_seconds=60, num_pauses=1)) == [408]


def test_a_body_that_drips_is_given_up() -> None:
    assert asyncio.run(_statuses(pause_seconds=0.02, num_pauses=1000)) == [408]


def test_a_body_in_time_is_read() -> None:
    assert asyncio.run(_statuses(pause_seconds=0, num_pauses=5, idle_seconds=60)) == [200]


def test_who_is_answered_already_may_keep_the_rest_of_the_body() -> None:
    heard: list[Message] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": []})
        heard.append(await receive())

    async def receive() -> Message:
        await asyncio.sleep(0.2)  # four times as long as a body may be silent
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        assert message["type"] == "http.response.start"

    asyncio.run(BodyPace(stream, idle_seconds=0.05)({"type": "http"}, receive, send))
    assert heard == [{"type": "http.disconnect"}]
