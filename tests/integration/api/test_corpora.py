from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

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
