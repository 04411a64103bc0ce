from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.schemas.corpora import CorpusRequest
from services import making
from storage import keys
from tests.integration.api.conftest import Made, Worker


def test_one_call_uploads_and_builds(client: TestClient) -> None:
    answer = client.post(
        "/v1/corpora",
        data={"name": "tales", "validation_fraction": "0.1", "metadata": '{"lang": "nl"}'},
        files=[("file", ("a.txt", b"one")), ("file", ("b.txt", b"two"))],
    )
    corpus = answer.json()
    assert answer.status_code == 202
    assert (corpus["name"], corpus["status"]) == ("tales", "queued")
    assert corpus["validation_fraction"] == 0.1
    assert corpus["metadata"] == {"lang": "nl"}
    names = [client.get(f"/v1/files/{file_id}").json()["filename"] for file_id in corpus["files"]]
    assert names == ["a.txt", "b.txt"]


def test_a_text_field_of_a_form_stays_text(client: TestClient) -> None:
    answer = client.post("/v1/corpora", data={"name": "1e5"}, files={"file": ("a", b"x")})
    assert answer.json()["name"] == "1e5"


def test_a_form_takes_a_cleaning_profile_or_its_changes_as_json(client: TestClient) -> None:
    def post(**fields: str) -> Any:
        return client.post("/v1/corpora", data=fields, files={"file": ("a.txt", b"x")}).json()

    assert post(clean="web")["clean"]["profile"] == "web"
    changed = post(clean='{"profile": "web", "remove": ["ip", "email"]}')["clean"]
    assert (changed["profile"], changed["remove"]) == ("web", ["email", "ip"])
    broken = post(clean='{"profile": ')["error"]
    assert (broken["param"], broken["code"]) == ("clean", "invalid_value")
    unknown = post(clean='{"profile": "web", "filters": {"gopher_word_cont": false}}')
    assert unknown["error"]["param"] == "clean.filters.gopher_word_cont"
    assert "gopher_word_count" in unknown["error"]["message"]


def test_a_corpus_shows_how_far_it_is_only_while_it_is_being_made(
    client: TestClient, corpus_id: str, worker: Worker
) -> None:
    def shown() -> dict[str, Any]:
        corpus: dict[str, Any] = client.get(f"/v1/corpora/{corpus_id}").json()
        return corpus

    assert (shown()["status"], shown()["processing"]) == ("queued", None)
    claim = worker.claim("corpus")
    with worker.service.database.unit_of_work(write=True) as uow:
        told = {"num_files": 1, "total_files": 3, "bytes_per_second": 2.5e6, "eta_seconds": 4.0}
        making.advance(uow, claim, stage="reading", fraction=0.25, processing=told)
        uow.commit()
    corpus = shown()
    assert (corpus["status"], corpus["stage"], corpus["progress"]) == (
        "processing",
        "reading",
        0.25,
    )
    assert {name: corpus["processing"][name] for name in told} == told
    assert corpus["processing"]["num_records"] is None
    with worker.service.database.unit_of_work(write=True) as uow:
        making.fail(uow, claim, code="corpus_empty", message="nothing is left", param="files")
        uow.commit()
    assert (shown()["status"], shown()["processing"]) == ("failed", None)


def test_a_corpus_that_extends_another_has_its_options_and_files(
    client: TestClient, ready_corpus_id: str
) -> None:
    base = client.get(f"/v1/corpora/{ready_corpus_id}").json()
    file = client.put("/v1/files/more.txt", content=b"More text.").json()["id"]
    body = {"extends": ready_corpus_id, "files": [file]}
    longer = client.post("/v1/corpora", json=body).json()
    assert longer["extends"] == ready_corpus_id
    assert longer["clean"] == base["clean"]
    assert set(longer["files"]) == {*base["files"], file}
    other = client.post("/v1/corpora", json={**body, "deduplicate": "near"})
    assert (other.status_code, other.json()["error"]["param"]) == (422, "deduplicate")


def test_the_report_is_a_page_for_a_browser_and_json_for_a_program(
    client: TestClient, ready_corpus_id: str, made: Made
) -> None:
    url = f"/v1/corpora/{ready_corpus_id}/report"
    report = client.get(url).json()
    assert (report["object"], report["corpus"]) == ("corpus_report", ready_corpus_id)
    assert report["tokenizer"]["bytes_per_token"] > 1
    assert (
        report["sha256"] == hashlib.sha256((made.corpus / "report.json").read_bytes()).hexdigest()
    )
    assert report["digest"] == client.get(f"/v1/corpora/{ready_corpus_id}").json()["digest"]

    page = client.get(url, headers={"accept": "text/html,application/xml;q=0.9,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["vary"] == "accept"
    assert f"{report['stats']['num_bytes']:,} bytes" in page.text
    assert "does not hold" not in page.text

    assert client.get(url, params={"format": "html"}).text == page.text
    accept = {"accept": "text/html"}
    assert client.get(url, params={"format": "json"}, headers=accept).json() == report
    assert client.get(url, params={"format": "pdf"}).status_code == 422

    known = {"accept": "text/html", "if-none-match": page.headers["etag"]}
    same = client.get(url, headers=known)
    assert (same.status_code, same.headers["vary"]) == (304, "accept")
    assert client.get(url, headers={**known, "accept": "application/json"}).json() == report


def test_a_damaged_report_is_named_as_such(
    client: TestClient, ready_corpus_id: str, worker: Worker
) -> None:
    writer = worker.service.store.writer(f"{keys.corpus(ready_corpus_id)}report.json")
    writer.write(b'{"digest": "of another version"}')
    writer.commit()
    answer = client.get(f"/v1/corpora/{ready_corpus_id}/report")
    assert answer.status_code < 500
    assert answer.json()["error"]["code"] == "corpus_damaged"


def test_openapi_tells_of_a_corpus_without_a_dangling_reference(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    schemas = document["components"]["schemas"]
    assert references <= {f"#/components/schemas/{name}" for name in schemas}
    content = document["paths"]["/v1/corpora"]["post"]["requestBody"]["content"]
    for media_type in ("application/json", "multipart/form-data"):
        fields = content[media_type]["schema"]["properties"]
        undescribed = [name for name, field in fields.items() if "description" not in field]
        assert undescribed == []
        assert {"clean", "deduplicate", "extends", "format"} <= fields.keys()
    examples = content["application/json"]["examples"]
    for example in examples.values():
        CorpusRequest.model_validate(example["value"])


def test_openapi_describes_every_field_of_what_is_under_corpora(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    answers = [
        operation["responses"]
        for path, operations in document["paths"].items()
        if path.startswith("/v1/corpora")
        for operation in operations.values()
    ]
    waiting = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(answers)))
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        fields = schemas[name].get("properties", {})
        silent = [field for field, schema in fields.items() if "description" not in schema]
        assert silent == [], name
        waiting |= set(re.findall(r"#/components/schemas/(\w+)", json.dumps(fields))) - seen
    assert {"CorpusObject", "CorpusReportObject", "DocumentObject", "ExampleObject"} <= seen


def test_a_ready_corpus_tells_what_became_of_every_record(
    client: TestClient, ready_corpus_id: str
) -> None:
    corpus = client.get(f"/v1/corpora/{ready_corpus_id}").json()
    stats = corpus["stats"]
    assert corpus["status"] == "ready"
    assert corpus["progress"] == 1.0
    assert stats["num_records"] == 2000
    dropped = sum(stats["dropped"].values())
    assert stats["num_records"] == stats["num_documents"] + stats["num_duplicates"] + dropped
    assert client.get(f"/v1/corpora/{ready_corpus_id}/report").json()["stats"] == stats


def test_documents_are_walked_in_pages(client: TestClient, ready_corpus_id: str) -> None:
    url = f"/v1/corpora/{ready_corpus_id}/documents"
    total = client.get(f"/v1/corpora/{ready_corpus_id}").json()["splits"]["validation"]
    seen: list[str] = []
    query = "?split=validation&limit=7"
    while True:
        page = client.get(url + query).json()
        seen += [document["id"] for document in page["data"]]
        if not page["has_more"]:
            break
        query = f"?split=validation&limit=7&after={page['last_id']}"
    assert len(seen) == len(set(seen)) == total["num_documents"]
    assert client.get(f"{url}?limit=1").json()["data"][0]["text"]
    assert client.get(f"{url}?after=validation-3").status_code == 422


@pytest.mark.parametrize(
    "objective", ["causal", "masked", {"type": "masked", "rate": 0.5, "whole_words": False}]
)
def test_examples_show_the_blank_and_what_was_removed(
    client: TestClient, ready_corpus_id: str, objective: object
) -> None:
    url = f"/v1/corpora/{ready_corpus_id}/examples"
    examples = client.post(url, json={"objective": objective, "limit": 3, "seed": 7}).json()["data"]
    assert len(examples) == 3
    for example in examples:
        assert "____" in example["blanked"]
        assert example["removed"]
        for piece in example["removed"]:
            assert example["text"][piece["start"] : piece["end"]] == piece["text"]
    again = client.post(url, json={"objective": objective, "limit": 3, "seed": 7}).json()["data"]
    other = client.post(url, json={"objective": objective, "limit": 3, "seed": 8}).json()["data"]
    assert again == examples
    assert other != examples


def test_examples_for_a_tokenizer_that_no_job_has_used_come_from_the_beginning(
    client: TestClient, ready_corpus_id: str, worker: Worker
) -> None:
    other = client.post("/v1/corpora", files={"file": ("b.txt", b"Other text.\n")}).json()
    with worker.service.database.unit_of_work(write=True) as uow:
        corpus = uow.corpora.get(other["id"])
        tokenizer = uow.tokenizers.get(corpus.default_tokenizer_id or "")
        source = uow.tokenizers.get(uow.corpora.get(ready_corpus_id).default_tokenizer_id or "")
        tokenizer.status, tokenizer.sha256 = source.status, "f" * 64
        uow.commit()
    writer = worker.service.store.writer(f"tokenizers/{tokenizer.id}/tokenizer.json")
    writer.write(worker.made.tokenizer_json)
    writer.commit()
    answer = client.post(
        f"/v1/corpora/{ready_corpus_id}/examples", json={"tokenizer": tokenizer.id, "limit": 2}
    )
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"]) == 2


@pytest.mark.parametrize("path", ["report", "documents", "examples"])
def test_a_corpus_that_is_not_ready_says_so(client: TestClient, corpus_id: str, path: str) -> None:
    url = f"/v1/corpora/{corpus_id}/{path}"
    answer = client.post(url, json={}) if path == "examples" else client.get(url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "corpus_not_ready")
    assert answer.headers["x-should-retry"] == "false"


def test_a_corpus_that_failed_says_why_and_nothing_can_be_made_of_it(
    client: TestClient, corpus_id: str, worker: Worker
) -> None:
    worker.fail_corpus("no document is left of 3 records")
    corpus = client.get(f"/v1/corpora/{corpus_id}").json()
    assert (corpus["status"], corpus["error"]["code"]) == ("failed", "corpus_empty")
    answers = [
        client.post(f"/v1/corpora/{corpus_id}/examples", json={}),
        client.get(f"/v1/corpora/{corpus_id}/report"),
        client.post("/v1/jobs", json={"corpus": corpus_id}),
        client.post("/v1/tokenizers", json={"corpus": corpus_id}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "corpus_failed")
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_tokenizer_encodes_and_decodes(
    client: TestClient, ready_corpus_id: str, made: Made
) -> None:
    tokenizer = client.get(f"/v1/corpora/{ready_corpus_id}").json()["default_tokenizer"]
    url = f"/v1/tokenizers/{tokenizer}"
    text = "The quick hound, <|endoftext|> é 😀"
    encoded = client.post(f"{url}/encode", json={"text": text}).json()
    assert len(encoded["tokens"]) == len(encoded["pieces"])
    assert client.post(f"{url}/decode", json={"tokens": encoded["tokens"]}).json()["text"] == text
    assert client.post(f"{url}/decode", json={"tokens": [200_000]}).status_code == 422
    file = client.get(f"{url}/files/tokenizer.json")
    assert file.content == made.tokenizer_json
    assert json.loads(file.content)["model"]["type"] == "BPE"


def test_corpora_are_found_by_their_metadata(client: TestClient) -> None:
    for lang in ("nl", "en"):
        client.post(
            "/v1/corpora",
            data={"metadata": json.dumps({"lang": lang}), "name": lang},
            files={"file": ("a", b"x")},
        )
    found = client.get("/v1/corpora", params={"metadata[lang]": "nl"}).json()["data"]
    assert [corpus["name"] for corpus in found] == ["nl"]
