from __future__ import annotations

import base64
import hashlib
import random
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import Request
from httpx2 import Response
from starlette.testclient import TestClient

from api.deps import Service
from api.receive import Destination, receive_body
from core.errors import QuotaExceeded
from db.tables import DEFAULT_PROJECT_ID

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HOSTILE_NAMES = {
    "../../etc/passwd": "passwd",
    "..\\..\\windows\\system.ini": "system.ini",
    "/dev/null": "null",
    "..": None,
    "a/..": None,
    "evil\u202etxt.exe": None,
    "a\ttab.txt": None,
    "x" * 300: None,
    "%2e%2e%2fetc%2fpasswd": "%2e%2e%2fetc%2fpasswd",
    "con: <a href='x'>\"&.txt": "con: <a href='x'>\"&.txt",
    "日本語 ü.txt": "日本語 ü.txt",
}
"""What a file is called then; None where the name is refused."""


def stored(service: Service) -> list[str]:
    """Every key of the store, when nobody holds room for more."""
    with service.database.unit_of_work(None) as uow:
        assert uow.upkeep.reservations() == []
    return [found.key for found in service.store.list("")]


def failure(answer: Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def create(client: TestClient, **body: Any) -> str:
    answer = client.post("/v1/uploads", json={"filename": "a.bin", "bytes": len(CONTENT), **body})
    assert answer.status_code == 200, answer.text
    identifier: str = answer.json()["id"]
    return identifier


def put(client: TestClient, upload_id: str, number: int, data: bytes, **headers: str) -> Response:
    return client.put(f"/v1/uploads/{upload_id}/parts/{number}", content=data, headers=headers)


def post(client: TestClient, upload_id: str, data: bytes) -> Response:
    return client.post(f"/v1/uploads/{upload_id}/parts", files={"data": ("upload", data)})


def complete(client: TestClient, upload_id: str, *part_ids: str, **body: str) -> Response:
    return client.post(
        f"/v1/uploads/{upload_id}/complete", json={"part_ids": list(part_ids), **body}
    )


def set_quota(service: Service, num_bytes: int) -> None:
    with service.database.unit_of_work(write=True) as uow:
        uow.projects.get(DEFAULT_PROJECT_ID).storage_quota_bytes = num_bytes
        uow.commit()


def test_parts_of_both_kinds_in_any_order_become_the_file(
    client: TestClient, service: Service
) -> None:
    upload_id = create(client, mime_type="text/plain", purpose="fine-tune")
    last = post(client, upload_id, CONTENT[200_000:]).json()
    first = put(client, upload_id, 1, CONTENT[:100_000]).json()
    middle = put(client, upload_id, 2, CONTENT[100_000:200_000]).json()
    here = client.get(f"/v1/uploads/{upload_id}/parts").json()["data"]
    assert here == [first, middle, last]
    assert {
        "object": "upload.part",
        "upload_id": upload_id,
        "number": 1,
        "bytes": 100_000,
        "sha256": hashlib.sha256(CONTENT[:100_000]).hexdigest(),
    }.items() <= first.items()
    part_ids = [part["id"] for part in (first, middle, last)]
    answer = complete(client, upload_id, *part_ids, sha256=SHA256.upper())
    upload = answer.json()
    assert answer.status_code == 200, answer.text
    assert (upload["status"], upload["bytes"]) == ("completed", len(CONTENT))
    file = upload["file"]
    assert (file["sha256"], file["purpose"], file["bytes"]) == (SHA256, "fine-tune", len(CONTENT))
    assert client.get(f"/v1/uploads/{upload_id}").json() == upload
    assert client.get(f"/v1/files/{file['id']}").json() == file
    url = f"/v1/files/{file['id']}/content"
    assert client.get(url).content == CONTENT
    across = client.get(url, headers={"range": "bytes=99990-200009"})
    assert across.content == CONTENT[99_990:200_010]
    assert complete(client, upload_id, *part_ids).json() == upload
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert complete(client, upload_id, *part_ids, sha256=SHA256, md5=md5).json() == upload
    for digest in ({"md5": "0" * 32}, {"sha256": "0" * 64}):
        refused = complete(client, upload_id, *part_ids, **digest)
        assert failure(refused) == (422, "digest_mismatch", *digest)
    assert failure(complete(client, upload_id, *part_ids[::-1]))[:2] == (409, "upload_completed")
    assert client.delete(f"/v1/files/{file['id']}").status_code == 200
    assert stored(service) == []
    gone = client.get(f"/v1/uploads/{upload_id}").json()
    assert gone["file"] is None
    assert complete(client, upload_id, *part_ids, sha256=SHA256, md5=md5).json() == gone


def test_what_cannot_be_completed_leaves_the_upload_as_it_was(
    client: TestClient, service: Service
) -> None:
    upload_id = create(client)
    half, rest = (
        put(client, upload_id, number, data).json()["id"]
        for number, data in enumerate((CONTENT[:150_000], CONTENT[150_000:]))
    )
    elsewhere = put(client, create(client), 0, b"x").json()["id"]
    before = stored(service)
    refused = [
        (complete(client, upload_id, half), (422, "size_mismatch", "part_ids")),
        (complete(client, upload_id, half, half), (422, "duplicate_part", "part_ids")),
        (complete(client, upload_id, half, elsewhere), (404, "part_not_found", "part_ids")),
        (complete(client, upload_id, half, rest, md5="0" * 32), (422, "digest_mismatch", "md5")),
        (
            complete(client, upload_id, rest, half, sha256=SHA256),
            (422, "digest_mismatch", "sha256"),
        ),
        (complete(client, upload_id, half, rest, sha256="abc"), (422, "invalid_value", "sha256")),
        (complete(client, upload_id), (422, "invalid_value", "part_ids")),
        (complete(client, "upload_1", half), (404, "not_found", None)),
    ]
    for answer, expected in refused:
        assert failure(answer) == expected, answer.text
    assert client.get(f"/v1/uploads/{upload_id}").json()["status"] == "pending"
    assert stored(service) == before
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert complete(client, upload_id, half, rest, md5=md5, sha256=SHA256).status_code == 200


def test_what_cannot_be_a_part_leaves_nothing(client: TestClient, service: Service) -> None:
    upload_id = create(client, bytes=1000)
    url = f"/v1/uploads/{upload_id}/parts"
    refused = [
        (put(client, upload_id, 1, b""), (422, "empty_file", "data")),
        (put(client, upload_id, 1, b"x" * 1001), (413, "too_large", None)),
        (client.put(f"{url}/1", content=iter([b"x" * 1001])), (413, "too_large", "data")),
        (post(client, upload_id, b"x" * 1001), (413, "too_large", "data")),
        (put(client, upload_id, 10_001, b"x"), (422, "invalid_value", "number")),
        (client.put(f"{url}/one", content=b"x"), (422, "wrong_type", "number")),
        (
            put(client, upload_id, 1, b"x", **{"x-sha256": "0" * 64}),
            (422, "digest_mismatch", "x-sha256"),
        ),
        (
            put(client, upload_id, 1, b"x", **{"content-encoding": "gzip"}),
            (415, "unsupported_media_type", None),
        ),
        (
            put(client, upload_id, 1, b"x", **{"content-range": "bytes 5-5/6"}),
            (400, "malformed_request", "Content-Range"),
        ),
        (client.post(url, files={"file": ("a", b"x")}), (422, "invalid_request", "file")),
        (client.post(url, data={"a": "b"}, files={"data": b"x"}), (422, "unknown_field", "a")),
        (
            client.post(url, files=[("data", b"x"), ("data", b"y")]),
            (422, "invalid_request", "data"),
        ),
        (client.post(url, json={"data": "x"}), (415, "unsupported_media_type", None)),
        (put(client, "upload_1", 1, b"x"), (404, "not_found", None)),
    ]
    for answer, expected in refused:
        assert failure(answer) == expected, answer.text
    assert stored(service) == []
    assert client.get(url).json()["data"] == []


def test_the_digest_of_a_part_is_checked(client: TestClient) -> None:
    digest = hashlib.sha256(b"part").digest()
    for number, header in enumerate(
        (
            {"x-sha256": digest.hex()},
            {"content-digest": f"sha-256=:{base64.b64encode(digest).decode()}:"},
        )
    ):
        assert put(client, create(client), number, b"part", **header).status_code == 200


def test_a_part_sent_again_is_the_same_part(client: TestClient, service: Service) -> None:
    upload_id = create(client)
    first = put(client, upload_id, 1, b"part").json()
    assert put(client, upload_id, 1, b"part").json() == first
    assert len(stored(service)) == 1


def test_an_upload_that_has_ended_takes_nothing(client: TestClient, service: Service) -> None:
    upload_id = create(client)
    part_id = put(client, upload_id, 1, CONTENT).json()["id"]
    empty = {"content-type": "application/json"}  # as the stock client sends it
    cancelled = client.post(f"/v1/uploads/{upload_id}/cancel", headers=empty)
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert client.post(f"/v1/uploads/{upload_id}/cancel").json() == cancelled.json()
    assert stored(service) == []
    for answer in (
        put(client, upload_id, 1, CONTENT),
        post(client, upload_id, CONTENT),
        complete(client, upload_id, part_id),
    ):
        assert failure(answer) == (409, "upload_cancelled", None)
        assert answer.headers["x-should-retry"] == "false"
    assert stored(service) == []
    done = create(client)
    assert complete(client, done, put(client, done, 1, CONTENT).json()["id"]).status_code == 200
    assert failure(client.post(f"/v1/uploads/{done}/cancel"))[:2] == (409, "upload_completed")


def test_uploads_are_checked_when_they_are_announced(client: TestClient) -> None:
    wrong: list[tuple[dict[str, object], int, str]] = [
        ({"bytes": 0}, 422, "bytes"),
        ({"bytes": (1 << 20) + 1}, 413, "bytes"),
        ({"bytes": True}, 422, "bytes"),
        ({"purpose": ""}, 422, "purpose"),
        ({"filename": ""}, 422, "filename"),
        ({"mime": "text/plain"}, 422, "mime"),
        ({"mime_type": "text/plain\nx-evil: 1"}, 422, "mime_type"),
        ({"mime_type": "text/plain; charset=\x1b"}, 422, "mime_type"),
        ({"mime_type": "text"}, 422, "mime_type"),
        (
            {"expires_after": {"anchor": "created_at", "seconds": 3599}},
            422,
            "expires_after.seconds",
        ),
        ({"expires_after": {"anchor": "now", "seconds": 3600}}, 422, "expires_after.anchor"),
    ]
    for fields, status, param in wrong:
        body = {"filename": "a", "bytes": 10, **fields}
        answer = client.post("/v1/uploads", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert client.get("/v1/uploads").json()["data"] == []


def test_uploads_are_listed_newest_first(client: TestClient) -> None:
    ids = [create(client) for _ in range(3)]
    page = client.get("/v1/uploads?limit=2").json()
    assert [upload["id"] for upload in page["data"]] == ids[:0:-1]
    assert page["has_more"] is True


def test_files_of_every_way_in_can_be_kept_for_a_time(client: TestClient) -> None:
    upload_id = create(client, expires_after={"anchor": "created_at", "seconds": 3600})
    part_id = put(client, upload_id, 0, CONTENT).json()["id"]
    fields = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = [
        complete(client, upload_id, part_id).json()["file"],
        client.post("/v1/files", files={"file": ("a", b"x")}, data=fields).json(),
        client.put("/v1/files/a?expires_after_seconds=3600", content=b"x").json(),
    ]
    assert [file["expires_at"] - file["created_at"] for file in made] == [3600] * 3
    for wrong in (
        {"expires_after[anchor]": "created_at"},
        {"expires_after[anchor]": "now", "expires_after[seconds]": "3600"},
        {"expires_after[seconds]": "3599"},
        {"expires_after[seconds]": "²"},
    ):
        answer = client.post("/v1/files", files={"file": ("a", b"x")}, data=wrong)
        assert answer.status_code == 422, answer.text
    assert client.put("/v1/files/a?expires_after_seconds=9", content=b"x").status_code == 422


def test_a_quota_refuses_every_way_in(client: TestClient, service: Service) -> None:
    set_quota(service, 3_000_000)
    pending = create(client, bytes=1_000_000)
    set_quota(service, 1_000_100)

    answers = [
        client.post("/v1/uploads", json={"filename": "a", "bytes": 101}),
        client.put("/v1/files/a", content=b"x" * 101),
        client.put("/v1/files/a", content=iter([b"x" * 101])),
        client.post("/v1/files", files={"file": ("a", b"x" * 101)}),
        client.post("/v1/corpora", files={"file": ("a", b"x" * 101)}),
    ]
    for answer in answers:
        assert failure(answer) == (429, "insufficient_quota", None)
        assert answer.headers["x-should-retry"] == "false"
    assert stored(service) == []
    assert client.put("/v1/files/a", content=b"x" * 100).status_code == 201
    assert put(client, pending, 0, b"y" * 500_000).status_code == 200


def test_a_quota_refuses_before_a_byte_is_read(client: TestClient, service: Service) -> None:
    async def receive() -> dict[str, object]:
        raise AssertionError("a byte was asked for")

    async def send() -> None:
        headers = [(b"content-length", b"101")]
        scope = {"type": "http", "method": "PUT", "headers": headers, "path": "/"}
        destination = Destination.of_files(service, DEFAULT_PROJECT_ID)
        async with receive_body(Request(scope, receive), destination, filename="a"):
            raise AssertionError("it was let in")

    set_quota(service, 100)
    assert client.portal is not None
    with pytest.raises(QuotaExceeded):
        client.portal.call(send)


@pytest.mark.parametrize("way", ["put", "form", "upload", "corpus"])
def test_a_hostile_name_is_a_label_or_an_error(
    client: TestClient, service: Service, way: str
) -> None:
    for name, expected in HOSTILE_NAMES.items():
        answer = _send_named(client, way, name)
        if expected is None or (way == "put" and answer.status_code == 404):
            assert answer.status_code in {400, 404, 422}, (name, answer.text)
            continue
        assert answer.status_code < 300, (name, answer.text)
        file = (
            answer.json() if way != "corpus" else client.get("/v1/files?limit=1").json()["data"][0]
        )
        assert file["filename"] == expected
    assert all(key.startswith("files/blob_") for key in stored(service))


def _send_named(client: TestClient, way: str, name: str) -> Response:
    if way == "put":
        return client.put(f"/v1/files/{quote(name, safe='')}", content=b"x")
    if way == "upload":
        return client.post("/v1/uploads", json={"filename": name, "bytes": 1})
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')  # a polite client would encode more
    disposition = f'Content-Disposition: form-data; name="file"; filename="{quoted}"'
    return client.post(
        f"/v1/{'files' if way == 'form' else 'corpora'}",
        content=f"--b\r\n{disposition}\r\n\r\nx\r\n--b--\r\n".encode(),
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
