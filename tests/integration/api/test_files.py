from __future__ import annotations

import base64
import hashlib
import random

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from api.deps import Service
from api.receive import Destination, receive_body
from db.tables import DEFAULT_PROJECT_ID

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BASE64 = base64.b64encode(bytes.fromhex(SHA256)).decode()
SHA512 = base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()


def stored(service: Service) -> list[str]:
    """Every key of the store."""
    return [found.key for found in service.store.list("")]


def upload(client: TestClient, content: bytes = CONTENT, name: str = "a.bin") -> str:
    answer = client.post("/v1/files", files={"file": (name, content)})
    assert answer.status_code == 200, answer.text
    identifier: str = answer.json()["id"]
    return identifier


def test_a_form_makes_a_file_of_its_bytes(client: TestClient) -> None:
    answer = client.post(
        "/v1/files", files={"file": ("dir/a ü.bin", CONTENT)}, data={"purpose": "fine-tune"}
    )
    file = answer.json()
    assert answer.status_code == 200
    assert file["filename"] == "a ü.bin"
    assert (file["bytes"], file["sha256"], file["purpose"]) == (len(CONTENT), SHA256, "fine-tune")
    assert client.get(f"/v1/files/{file['id']}").json() == file
    assert client.get(f"/v1/files/{file['id']}/content").content == CONTENT


def test_a_raw_body_makes_a_new_file_each_time(client: TestClient) -> None:
    first = client.put("/v1/files/a.bin", content=CONTENT)
    second = client.put("/v1/files/a.bin", content=CONTENT)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    assert first.json()["filename"] == "a.bin"


def test_equal_bytes_are_kept_once_and_go_with_the_last_file(
    client: TestClient, service: Service
) -> None:
    first, second = upload(client), upload(client, name="b.bin")
    assert len(stored(service)) == 1
    client.delete(f"/v1/files/{first}")
    assert client.get(f"/v1/files/{second}/content").content == CONTENT
    assert client.delete(f"/v1/files/{second}").json() == {
        "id": second, "object": "file", "deleted": True,
    }  # fmt: skip
    assert stored(service) == []
    assert client.get(f"/v1/files/{second}").status_code == 404


@pytest.mark.parametrize(
    "header",
    [
        {"x-sha256": SHA256.upper()},
        {"content-digest": f"sha-256=:{BASE64}:"},
        {"content-digest": f"sha-512=:{SHA512}:, md5=:unknown:"},
    ],
)
def test_the_announced_digest_is_checked(client: TestClient, header: dict[str, str]) -> None:
    assert client.put("/v1/files/a", content=CONTENT, headers=header).status_code == 201


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ({"x-sha256": "0" * 64}, 422, "digest_mismatch"),
        ({"x-sha256": "abc"}, 400, "malformed_request"),
        ({"content-digest": "sha-256=:AAAA:"}, 400, "malformed_request"),
        ({"content-digest": "sha-512=:?:"}, 400, "malformed_request"),
        ({"content-digest": "sha-256=abc"}, 400, "malformed_request"),
        ({"content-digest": f"sha-256=:{BASE64}: and more"}, 400, "malformed_request"),
        (
            {"content-digest": f"sha-256=:{BASE64}:, sha-512=:{SHA512[:-4]}AA==:"},
            422,
            "digest_mismatch",
        ),
        (
            {"content-digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"},
            422,
            "digest_mismatch",
        ),
    ],
)
def test_other_bytes_than_announced_leave_nothing(
    client: TestClient, service: Service, header: dict[str, str], status: int, code: str
) -> None:
    answer = client.put("/v1/files/a", content=CONTENT, headers=header)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert stored(service) == []
    assert client.get("/v1/files").json()["data"] == []


def test_a_form_has_a_digest_of_its_body_and_one_of_its_file(
    client: TestClient, service: Service
) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head + CONTENT + b"\r\n--b--\r\n"
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()

    def post(**headers: str) -> int:
        content_type = {"content-type": "multipart/form-data; boundary=b"}
        return client.post("/v1/files", content=body, headers=content_type | headers).status_code

    assert post(**{"content-digest": f"sha-256=:{BASE64}:"}) == 422
    assert post(**{"x-sha256": "0" * 64}) == 422
    assert stored(service) == []
    assert post(**{"content-digest": f"sha-256=:{digest}:", "x-sha256": SHA256}) == 200


def test_what_cannot_be_a_file_leaves_nothing(client: TestClient, service: Service) -> None:
    too_large = b"x" * ((1 << 20) + 1)
    refused = [
        (client.put("/v1/files/a", content=b""), 422, "empty_file"),
        (client.post("/v1/files", files={"file": ("a", b"")}), 422, "empty_file"),
        (client.put("/v1/files/a", content=too_large), 413, "too_large"),
        (client.put("/v1/files/a", content=iter([too_large])), 413, "too_large"),
        (client.post("/v1/files", files={"file": ("a", too_large)}), 413, "too_large"),
        (client.post("/v1/files", files={"other": ("a", b"x")}), 422, "invalid_request"),
        (
            client.post("/v1/files", files={"file": ("a", b"x")}, data={"purpos": "x"}),
            422,
            "unknown_field",
        ),
        (
            client.post("/v1/files", files={"file": ("a", b"x")}, data={"purpose": ""}),
            422,
            "invalid_request",
        ),
        (
            client.post("/v1/files", files=[("file", ("a", b"x")), ("file", ("b", b"y"))]),
            422,
            "invalid_request",
        ),
        (
            client.put("/v1/files/a", content=b"x", headers={"content-range": "bytes 5-5/6"}),
            400,
            "malformed_request",
        ),
        (client.post("/v1/files", json={"purpose": "x"}), 415, "unsupported_media_type"),
        (client.put("/v1/files/..", content=b"x"), 404, "not_found"),
        (client.put(f"/v1/files/{'x' * 300}", content=b"x"), 422, "invalid_request"),
    ]
    for answer, status, code in refused:
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert stored(service) == []
    assert client.get("/v1/files").json()["data"] == []


def test_a_connection_that_is_cut_leaves_nothing(client: TestClient, service: Service) -> None:
    async def receive() -> dict[str, object]:
        sent.append(1)
        if len(sent) <= 3:
            return {"type": "http.request", "body": CONTENT, "more_body": True}
        return {"type": "http.disconnect"}

    async def cut_upload() -> None:
        scope = {"type": "http", "method": "PUT", "headers": [], "path": "/", "query_string": b""}
        request = Request(scope, receive)
        destination = Destination.of_files(service, DEFAULT_PROJECT_ID)
        async with receive_body(request, destination, filename="a"):
            raise AssertionError("the body never ended")

    sent: list[int] = []
    assert client.portal is not None
    with pytest.raises(ClientDisconnect):
        client.portal.call(cut_upload)
    assert len(sent) == 4
    assert stored(service) == []


def test_a_full_disk_is_told_before_the_first_byte(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.store, "free_bytes", lambda: service.settings.min_free_bytes)
    answer = client.put("/v1/files/a", content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "disk_full")
    assert stored(service) == []


def test_a_file_that_a_waiting_corpus_needs_stays(client: TestClient) -> None:
    file_id = upload(client)
    corpus = client.post("/v1/corpora", json={"files": [file_id]}).json()
    answer = client.delete(f"/v1/files/{file_id}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "file_in_use")
    assert answer.headers["x-should-retry"] == "false"
    assert client.delete(f"/v1/corpora/{corpus['id']}").status_code == 200
    assert client.delete(f"/v1/files/{file_id}").status_code == 200


def test_content_is_served_in_ranges(client: TestClient) -> None:
    url = f"/v1/files/{upload(client)}/content"
    head = client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CONTENT))
    assert head.headers["etag"] == f'"{SHA256}"'
    part = client.get(url, headers={"range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, CONTENT[1000:2000])
    beyond = client.get(url, headers={"range": f"bytes={len(CONTENT)}-"})
    assert (beyond.status_code, beyond.json()["error"]["code"]) == (416, "range_not_satisfiable")


def test_a_list_is_walked_in_pages_and_filtered_by_purpose(client: TestClient) -> None:
    ids = [
        client.put(f"/v1/files/{n}?purpose=p{n % 2}", content=b"x").json()["id"] for n in range(5)
    ]
    first = client.get("/v1/files?limit=2").json()
    assert [file["id"] for file in first["data"]] == [ids[4], ids[3]]
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, ids[4], ids[3])
    rest = client.get(f"/v1/files?limit=10000&after={first['last_id']}").json()
    assert [file["id"] for file in rest["data"]] == [ids[2], ids[1], ids[0]]
    assert rest["has_more"] is False
    odd = client.get("/v1/files?purpose=p1&order=asc").json()["data"]
    assert [file["id"] for file in odd] == [ids[1], ids[3]]
