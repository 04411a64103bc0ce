from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from api.deps import Service

SHAPE = {"message", "type", "code", "param", "details"}


def contents(client: TestClient, service: Service) -> tuple[object, ...]:
    """Everything that a request could have left behind."""
    nouns = ("files", "corpora", "tokenizers", "jobs", "checkpoints", "events")
    lists = [client.get(f"/v1/{noun}?limit=100").json()["data"] for noun in nouns]
    return (*lists, [found.key for found in service.store.list("")])


def assert_refused(answer: Any, *, status: int, code: str, param: str | None) -> None:
    error = answer.json()["error"]
    assert set(error) == SHAPE
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    assert error["details"][0] == {key: error[key] for key in ("message", "code", "param")}
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"modle": "tiny"}, 422, "unknown_field", "modle"),
        ({"model": "tinny"}, 422, "unknown_preset", "model"),
        ({"model": {"preset": "tiny", "widht": 64}}, 422, "unknown_field", "model.widht"),
        ({"model": {"layers": 2, "width": 100, "heads": 3}}, 422, "invalid_request", "model.heads"),
        (
            {"model": {"layers": 10**9, "width": 64, "heads": 1}},
            422,
            "invalid_value",
            "model.layers",
        ),
        ({"model": {"layers": 2}}, 422, "invalid_value", "model.width"),
        ({"model": 7}, 422, "wrong_type", "model"),
        ({"objective": "gpt"}, 422, "unknown_objective", "objective"),
        ({"objective": {"type": "masked", "rate": 1.5}}, 422, "invalid_value", "objective.rate"),
        ({"objective": "masked", "model": "medium"}, 422, "unknown_preset", "model.preset"),
        ({"budget": {}}, 422, "invalid_value", "budget"),
        ({"budget": {"tokens": 0}}, 422, "invalid_value", "budget.tokens"),
        ({"budget": {"tokens": -5}}, 422, "invalid_value", "budget.tokens"),
        ({"budget": {"tokens": "lots"}}, 422, "invalid_value", "budget.tokens"),
        ({"budget": {"steps": True}}, 422, "wrong_type", "budget.steps"),
        ({"batch_tokens": 100, "model": "tiny"}, 422, "invalid_request", "batch_tokens"),
        ({"seed": 1.5}, 422, "wrong_type", "seed"),
        ({"seed": "1"}, 422, "wrong_type", "seed"),
        ({"name": "a:b"}, 422, "invalid_value", "name"),
        ({"priority": 10**6}, 422, "invalid_value", "priority"),
        ({"corpus": "corpus_nobody"}, 404, "not_found", "corpus"),
        ({"corpus": 7}, 422, "wrong_type", "corpus"),
        ({"tokenizer": "tokenizer_nobody"}, 404, "not_found", "tokenizer"),
        ({"tokenizer": {"vocab_size": 10}}, 422, "invalid_value", "tokenizer.vocab_size"),
        ({"metadata": {"k": "x" * 513}}, 422, "invalid_value", "metadata.k"),
        ({"metadata": {str(n): "" for n in range(17)}}, 422, "invalid_value", "metadata"),
        ({"resources": {"devices": 2}}, 422, "invalid_value", "resources.devices"),
    ],
)
def test_a_wrong_job_is_refused_by_the_name_of_its_field_and_leaves_nothing(
    *,
    client: TestClient,
    service: Service,
    corpus_id: str,
    fields: dict[str, Any],
    status: int,
    code: str,
    param: str,
) -> None:
    before = contents(client, service)
    answer = client.post("/v1/jobs", json={"corpus": corpus_id, **fields})
    assert_refused(answer, status=status, code=code, param=param)
    assert contents(client, service) == before


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "missing_field"),
        (b"{", 400, "malformed_request"),
        (b"null", 422, "wrong_type"),
        (b"[]", 422, "wrong_type"),
        (b'"text"', 422, "wrong_type"),
        (b"\xff\xfe", 400, "malformed_request"),
        (b'{"seed": NaN}', 400, "malformed_request"),
        (b'{"seed": Infinity}', 400, "malformed_request"),
        (b'{"seed": 1e400}', 400, "malformed_request"),
        (b'{"seed": 1' + b"0" * 5000 + b"}", 400, "malformed_request"),
        (b'{"seed": 1, "seed": 2}', 400, "malformed_request"),
        (b'{"name": "\\ud800"}', 400, "malformed_request"),
        (b'{"name": "\\u0000"}', 400, "malformed_request"),
        (b'{"\\udc00": 1}', 400, "malformed_request"),
        (b"[" * 900 + b"]" * 900, 400, "malformed_request"),
        (b'{"a":' * 10_000, 400, "malformed_request"),
        (b'{"name": "' + b"x" * (1 << 16) + b'"}', 413, "too_large"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/corpora", "/v1/tokenizers"])
def test_a_body_that_is_no_honest_json_is_refused(
    client: TestClient, path: str, body: bytes, status: int, code: str
) -> None:
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert_refused(answer, status=status, code=code, param=answer.json()["error"]["param"])


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/v1/corpora", "/v1/tokenizers", "/v1/tokenizers/x/encode"]
)
def test_another_content_type_is_refused(client: TestClient, path: str) -> None:
    answer = client.post(path, content=b"{}", headers={"content-type": "text/plain"})
    assert_refused(answer, status=415, code="unsupported_media_type", param=None)


@pytest.mark.parametrize("path", ["/v1/files", "/v1/corpora"])
def test_a_form_of_another_content_type_is_refused(client: TestClient, path: str) -> None:
    answer = client.post(path, data={"file": "text"})
    assert_refused(answer, status=415, code="unsupported_media_type", param=None)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/x", "/v1/files/x/content", "/v1/corpora/x", "/v1/corpora/x/report",
        "/v1/corpora/x/documents", "/v1/tokenizers/x", "/v1/tokenizers/x/files/tokenizer.json",
        "/v1/jobs/x", "/v1/jobs/x/events", "/v1/jobs/x/metrics", "/v1/jobs/x/attempts",
        "/v1/jobs/x/checkpoints", "/v1/jobs/x/recipe", "/v1/jobs/x/loss.svg",
        "/v1/jobs/x/tensorboard",
        "/v1/checkpoints/x", "/v1/checkpoints/x/files/config.json", "/v1/checkpoints/x/archive",
    ],
)  # fmt: skip
def test_an_unknown_id_is_not_found(client: TestClient, path: str) -> None:
    assert_refused(client.get(path), status=404, code="not_found", param=None)


@pytest.mark.parametrize(
    ("path", "code", "param"),
    [
        ("/v1/jobs?limit=0", "invalid_value", "limit"),
        ("/v1/jobs?limit=101", "invalid_value", "limit"),
        ("/v1/jobs?limit=many", "wrong_type", "limit"),
        ("/v1/jobs?order=up", "invalid_value", "order"),
        ("/v1/jobs?status=done", "invalid_value", "status.0"),
        ("/v1/jobs?stauts=queued", "unknown_parameter", "stauts"),
        ("/v1/jobs?metadata=x", "unknown_parameter", "metadata"),
        ("/v1/files?limit=10001", "invalid_value", "limit"),
        ("/v1/jobs/x?wait=-1", "invalid_value", "wait"),
        ("/v1/jobs/x/metrics?resolution=1", "invalid_value", "resolution"),
        ("/v1/events?metadata[a]=b", "unknown_parameter", "metadata[a]"),
    ],
)
def test_a_wrong_parameter_is_named(client: TestClient, path: str, code: str, param: str) -> None:
    assert_refused(client.get(path), status=422, code=code, param=param)


@pytest.mark.parametrize(
    "noun", ["files", "corpora", "tokenizers", "jobs", "checkpoints", "models", "events"]
)
@pytest.mark.parametrize(
    "after", ["", "x", "work_01kb1s5p0v8m2f1c7w9xq4h3tz", "event_ffffffffffffffff01234567"]
)
def test_no_list_goes_on_after_the_id_of_something_else(
    client: TestClient, noun: str, after: str
) -> None:
    answer = client.get(f"/v1/{noun}", params={"after": after})
    assert_refused(answer, status=422, code="invalid_request", param="after")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"files": []}, "invalid_value", "files"),
        ({}, "missing_field", "files"),
        ({"files": ["file_nobody"]}, "not_found", "files"),
        ({"files": "file_1"}, "wrong_type", "files"),
        ({"files": ["a"], "clean": "spotless"}, "invalid_value", "clean"),
        ({"files": ["a"], "validation_fraction": 2}, "invalid_value", "validation_fraction"),
        ({"files": ["a"], "nmae": "x"}, "unknown_field", "nmae"),
        ({"files": ["a"], "name": "red\x1b[31m"}, "invalid_value", "name"),
        ({"files": ["a"], "name": "two\nlines"}, "invalid_value", "name"),
        ({"files": ["a"], "name": " "}, "invalid_value", "name"),
        ({"files": [""]}, "invalid_value", "files.0"),
        ({"files": ["x" * 129]}, "invalid_value", "files.0"),
    ],
)
def test_a_wrong_corpus_is_refused(
    client: TestClient, fields: dict[str, Any], code: str, param: str
) -> None:
    answer = client.post("/v1/corpora", json=fields)
    assert_refused(answer, status=answer.status_code, code=code, param=param)
    assert client.get("/v1/corpora").json()["data"] == []


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ({"nmae": "x"}, "unknown_field", "nmae"),
        ({"validation_fraction": "much"}, "invalid_value", "validation_fraction"),
        ({"validation_fraction": "7"}, "invalid_value", "validation_fraction"),
        ({"validation_fraction": "NaN"}, "invalid_value", "validation_fraction"),
        ({"clean": '{"profile": "web", "profile": "code"}'}, "invalid_value", "clean"),
        ({"metadata": "{"}, "invalid_value", "metadata"),
        ({"metadata": '{"a": 1}'}, "wrong_type", "metadata.a"),
    ],
)
def test_a_wrong_form_leaves_neither_corpus_nor_file(
    client: TestClient, service: Service, form: dict[str, str], code: str, param: str
) -> None:
    before = contents(client, service)
    answer = client.post("/v1/corpora", files={"file": ("a.txt", b"text")}, data=form)
    assert_refused(answer, status=422, code=code, param=param)
    assert "body" not in answer.json()["error"]["message"]
    assert contents(client, service) == before
