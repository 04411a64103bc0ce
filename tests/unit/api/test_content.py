from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request, Response
from starlette.testclient import TestClient

from api import errors
from api.content import Content, content_response
from api.middleware import HeadAsGet

BYTES = bytes(range(100))


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()

    def read(start: int, end: int) -> Iterator[bytes]:
        for first in range(start, end, 7):
            yield BYTES[first : min(first + 7, end)]

    def serve(request: Request) -> Response:
        content = Content(num_bytes=len(BYTES), etag="abc", read=read, filename='ü".txt')
        return content_response(request, content)

    app.add_api_route("/x", serve, response_class=Response)
    errors.install(app, app.routes)
    app.add_middleware(HeadAsGet)
    return TestClient(app)


def test_without_a_range_everything_is_sent(client: TestClient) -> None:
    answer = client.get("/x")
    assert (answer.status_code, answer.content) == (200, BYTES)
    assert answer.headers["content-length"] == "100"
    assert answer.headers["etag"] == '"abc"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert "filename*=UTF-8''%C3%BC%22.txt" in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("written", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=90-", 90, 100),
        ("bytes=90-5000", 90, 100),
        (f"bytes=90-{10**40}", 90, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-5000", 0, 100),
    ],
)
def test_a_range_is_sent_alone(client: TestClient, written: str, start: int, end: int) -> None:
    answer = client.get("/x", headers={"range": written})
    assert (answer.status_code, answer.content) == (206, BYTES[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/100"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("written", ["bytes=100-", "bytes=500-600", f"bytes={10**40}-", "bytes=-0"])
def test_a_range_beyond_the_end_is_416_with_the_size(client: TestClient, written: str) -> None:
    answer = client.get("/x", headers={"range": written})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */100"
    assert answer.json()["error"]["code"] == "range_not_satisfiable"


@pytest.mark.parametrize("written", ["bytes=5-4", "bytes=-", "bytes=0-1,5-6", "lines=0-1", "?"])
def test_what_is_no_single_range_is_ignored(client: TestClient, written: str) -> None:
    answer = client.get("/x", headers={"range": written})
    assert (answer.status_code, answer.content) == (200, BYTES)


def test_a_range_of_other_bytes_is_answered_with_everything(client: TestClient) -> None:
    same = client.get("/x", headers={"range": "bytes=0-9", "if-range": '"abc"'})
    other = client.get("/x", headers={"range": "bytes=0-9", "if-range": '"old"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_known_bytes_are_not_sent_again(client: TestClient) -> None:
    answer = client.get("/x", headers={"if-none-match": '"x", "abc"'})
    assert (answer.status_code, answer.content) == (304, b"")


def test_head_has_the_headers_of_get_and_no_body(client: TestClient) -> None:
    head, get = client.head("/x"), client.get("/x")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers == get.headers
    assert client.head("/x", headers={"range": "bytes=0-9"}).headers["content-length"] == "10"


@pytest.mark.parametrize("condition", ['"abc"', '"x", "abc"', "*"])
def test_who_has_the_same_bytes_gets_the_rest(client: TestClient, condition: str) -> None:
    answer = client.get("/x", headers={"if-match": condition, "range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, BYTES[10:20])


@pytest.mark.parametrize("condition", ['"x"', 'W/"abc"', "abc"])
def test_who_has_other_bytes_is_told_so_before_any_is_sent(
    client: TestClient, condition: str
) -> None:
    answer = client.get("/x", headers={"if-match": condition, "range": "bytes=10-19"})
    assert answer.status_code == 412
    assert answer.json()["error"]["code"] == "precondition_failed"
