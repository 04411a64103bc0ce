from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from api.deps import Service
from corpora.tokenizer_upload import MAX_FILE_BYTES
from services import making
from services.doorbell import SilentDoorbell
from storage import keys
from tests.integration.api.conftest import Made, Worker


@pytest.fixture
def file_id(client: TestClient, made: Made) -> str:
    """An uploaded `tokenizer.json`."""
    answer = client.put("/v1/files/tokenizer.json", content=made.tokenizer_json)
    identifier: str = answer.json()["id"]
    return identifier


def test_a_file_becomes_a_tokenizer_that_encodes_and_decodes(
    client: TestClient, file_id: str, worker: Worker
) -> None:
    created = client.post("/v1/tokenizers", json={"file": file_id, "name": "theirs"})
    assert created.status_code == 202
    tokenizer = created.json()
    assert (tokenizer["file"], tokenizer["corpus"]) == (file_id, None)
    assert (tokenizer["status"], tokenizer["algorithm"]) == ("queued", "unknown")
    url = f"/v1/tokenizers/{tokenizer['id']}"
    early = client.post(f"{url}/encode", json={"text": "a"})
    assert (early.status_code, early.json()["error"]["code"]) == (409, "tokenizer_not_ready")

    claim = worker.claim("corpus")
    writer = worker.service.store.writer(keys.tokenizer_file(tokenizer["id"]))
    writer.write(worker.made.tokenizer_json)
    writer.commit()
    facts = worker.made.facts["tokenizer"]
    with worker.service.database.unit_of_work(write=True) as uow:
        making.finish_tokenizer(
            uow,
            claim,
            tokenizer=making.MadeTokenizer(
                vocab_size=facts.vocab_size, sha256=facts.sha256, stats=None, algorithm="bpe"
            ),
            doorbell=SilentDoorbell(),
        )
        uow.commit()
    ready = client.get(url).json()
    assert (ready["status"], ready["algorithm"], ready["stats"]) == ("ready", "bpe", None)
    tokens = client.post(f"{url}/encode", json={"text": "It's é 😀"}).json()["tokens"]
    assert client.post(f"{url}/decode", json={"tokens": tokens}).json()["text"] == "It's é 😀"
    assert client.get(f"{url}/files/tokenizer.json").content == worker.made.tokenizer_json


def test_a_file_that_cannot_be_used_says_why(
    client: TestClient, file_id: str, worker: Worker
) -> None:
    tokenizer = client.post("/v1/tokenizers", json={"file": file_id}).json()
    claim = worker.claim("corpus")
    with worker.service.database.unit_of_work(write=True) as uow:
        making.fail(uow, claim, code="tokenizer_not_supported", message="no bytes", param="file")
        uow.commit()
    failed = client.get(f"/v1/tokenizers/{tokenizer['id']}").json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "tokenizer_not_supported")
    encoded = client.post(f"/v1/tokenizers/{tokenizer['id']}/encode", json={"text": "a"})
    assert (encoded.status_code, encoded.json()["error"]["code"]) == (409, "tokenizer_failed")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"corpus": "corpus_1", "name": "two\nlines"}, 422),
        ({"corpus": ""}, 422),
        ({}, 422),
        ({"file": "file_1", "corpus": "corpus_1"}, 404),
        ({"file": "file_1", "vocab_size": 4096}, 422),
        ({"file": "file_1", "algorithm": "bpe"}, 422),
        ({"corpus": "corpus_1", "algorithm": "lzw"}, 422),
        ({"file": "file_nobody"}, 404),
        ({"file": 7}, 422),
    ],
)
def test_a_tokenizer_is_made_of_one_thing(
    client: TestClient, body: dict[str, Any], status: int
) -> None:
    answer = client.post("/v1/tokenizers", json=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("vocab_size", [0, 1, -5, 319, "300"])
def test_a_vocabulary_that_is_too_small_is_told_the_smallest_one(
    client: TestClient, vocab_size: int | str
) -> None:
    answer = client.post("/v1/tokenizers", json={"corpus": "corpus_1", "vocab_size": vocab_size})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, "vocab_size")
    assert "greater than or equal to 320" in error["message"]


def test_a_corpus_stays_until_an_uploaded_tokenizer_is_measured_on_it(
    client: TestClient, file_id: str, corpus_id: str
) -> None:
    created = client.post("/v1/tokenizers", json={"file": file_id, "corpus": corpus_id})
    tokenizer = created.json()
    assert (tokenizer["file"], tokenizer["corpus"]) == (file_id, corpus_id)
    kept = client.delete(f"/v1/corpora/{corpus_id}")
    assert (kept.status_code, kept.json()["error"]["code"]) == (409, "corpus_in_use")
    assert client.delete(f"/v1/tokenizers/{tokenizer['id']}").status_code == 200
    assert client.delete(f"/v1/corpora/{corpus_id}").status_code == 200


def test_a_file_longer_than_any_tokenizer_is_refused_at_once(
    client: TestClient, file_id: str, service: Service
) -> None:
    with service.database.unit_of_work(write=True) as uow:
        uow.files.get(file_id).num_bytes = MAX_FILE_BYTES + 1
        uow.commit()
    refused = client.post("/v1/tokenizers", json={"file": file_id})
    assert 400 <= refused.status_code < 500
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == ("tokenizer_too_large", "file")
    assert client.get("/v1/tokenizers").json()["data"] == []


def test_a_file_stays_as_long_as_it_is_to_be_read(client: TestClient, file_id: str) -> None:
    tokenizer = client.post("/v1/tokenizers", json={"file": file_id}).json()
    kept = client.delete(f"/v1/files/{file_id}")
    assert (kept.status_code, kept.json()["error"]["code"]) == (409, "file_in_use")
    assert client.delete(f"/v1/tokenizers/{tokenizer['id']}").status_code == 200
    assert client.delete(f"/v1/files/{file_id}").status_code == 200


@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "wordpiece"])
def test_every_algorithm_can_be_asked_for(
    client: TestClient, corpus_id: str, algorithm: str
) -> None:
    answer = client.post(
        "/v1/tokenizers", json={"corpus": corpus_id, "algorithm": algorithm, "vocab_size": 4096}
    )
    assert (answer.status_code, answer.json()["algorithm"]) == (202, algorithm)
