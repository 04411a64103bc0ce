from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from core.lifecycle import ResourceStatus
from corpora.tokenizer import load_tokenizer
from corpora.tokenizer_statistics import measure
from corpora.tokenizer_training import train_tokenizer
from corpora.vocabulary import SPECIAL_TOKENS
from db.tables import Tokenizer
from services import tokenizers
from storage import keys
from tests.integration.workers.conftest import House


def uploaded(house: House, tokenizer_json: str, *, corpus_id: str | None = None) -> str:
    """Ask for an uploaded tokenizer; answers its id."""
    file_id = house.upload(tokenizer_json, filename="tokenizer.json")
    with house.database.unit_of_work(write=True) as uow:
        tokenizer = tokenizers.create_from_file(
            uow, file_id=file_id, corpus_id=corpus_id, doorbell=house.doorbell
        )
        uow.commit()
    return tokenizer.id


def row(house: House, tokenizer_id: str) -> Tokenizer:
    with house.database.unit_of_work() as uow:
        return uow.tokenizers.get(tokenizer_id)


def stored(house: House, tokenizer_id: str) -> bytes:
    return b"".join(house.store.open(keys.tokenizer_file(tokenizer_id)))


@pytest.mark.slow
@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_an_uploaded_tokenizer_is_taken_and_a_poisoned_one_fails_alone(
    ready: House, made_corpus: Path
) -> None:
    whole = (made_corpus / "tokenizer" / "tokenizer.json").read_text()
    poisoned = json.loads(whole)
    poisoned["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a|aa)+$"
    good = uploaded(ready, whole, corpus_id=ready.corpus_id)
    bad = uploaded(ready, json.dumps(poisoned))
    assert (ready.run("corpus"), ready.run("corpus")) == (0, 0)

    taken = row(ready, good)
    assert (taken.status, taken.algorithm) == (ResourceStatus.READY, "bpe")
    assert stored(ready, good) == whole.encode()
    assert taken.vocab_size == load_tokenizer(whole.encode()).get_vocab_size()
    here = measure(
        made_corpus / "corpus", tokenizer_json=whole.encode(), vocab_size=taken.vocab_size
    )
    assert taken.stats == json.loads(json.dumps(asdict(here)))
    assert [source.file for source in here.sources] == ["story.txt"]
    refused = row(ready, bad)
    assert (refused.status, refused.algorithm) == (ResourceStatus.FAILED, "unknown")
    assert refused.error is not None
    assert (refused.error["code"], refused.error["param"]) == ("tokenizer_not_supported", "file")
    assert "not a known one" in refused.error["message"]


@pytest.mark.exhaustive
def test_a_job_is_trained_with_an_uploaded_tokenizer_of_another_algorithm(
    ready: House, made_corpus: Path
) -> None:
    made = train_tokenizer(
        made_corpus / "corpus", vocab_size=320, algorithm="wordpiece", progress=lambda _: None
    )
    tokenizer_id = uploaded(ready, made.json.decode())
    job = ready.new_job(ready.corpus_id, tokenizer=tokenizer_id)
    for queue in ("corpus", "corpus", "train.1"):  # the tokenizer, its dataset, the job
        assert ready.run(queue) == 0
    finished = ready.job(job.id)
    assert finished.status == "succeeded"
    assert finished.model is not None
    exported = load_tokenizer(
        b"".join(ready.store.open(ready.checkpoints(job.id)[-1].prefix + "tokenizer.json"))
    )
    assert exported.get_vocab_size() == 320
    assert [exported.id_to_token(id_) for id_ in range(64)] == list(SPECIAL_TOKENS)


@pytest.mark.exhaustive
@pytest.mark.parametrize("algorithm", ["unigram", "wordpiece"])
def test_every_algorithm_is_trained_by_a_worker(
    ready: House, made_corpus: Path, algorithm: str
) -> None:
    with ready.database.unit_of_work(write=True) as uow:
        tokenizer = tokenizers.create(
            uow,
            corpus_id=ready.corpus_id,
            vocab_size=320,
            algorithm=algorithm,
            doorbell=ready.doorbell,
        )
        uow.commit()
    assert ready.run("corpus") == 0
    made = row(ready, tokenizer.id)
    assert (made.status, made.vocab_size) == (ResourceStatus.READY, 320)
    assert made.stats is not None
    assert made.stats["sources"][0]["file"] == "story.txt"
    here = train_tokenizer(
        made_corpus / "corpus", vocab_size=320, algorithm=algorithm, progress=lambda _: None
    )
    assert stored(ready, tokenizer.id) == here.json
