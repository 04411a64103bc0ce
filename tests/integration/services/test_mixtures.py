from __future__ import annotations

from typing import Any

import pytest

from core.errors import Conflict, NotFound
from core.lifecycle import JobStatus
from services import corpora, making, queue_place
from services.recipe import recipe
from tests.integration.services.conftest import Office


def mixture(*corpus_ids: str) -> list[dict[str, Any]]:
    """Each has a larger share than the one before it."""
    return [{"corpus": id_, "weight": float(k)} for k, id_ in enumerate(corpus_ids, start=1)]


def test_mixture_waits_for_every_corpus_and_is_settled_with_all(office: Office) -> None:
    first, second = office.new_corpus(), office.new_corpus()
    job = office.new_job(mixture(first.id, second.id))
    office.finish_corpus(office.claim("corpus"), digest="1" * 64)
    assert office.job(job.id).spec is None
    with office.database.unit_of_work() as uow:
        place = queue_place.find(uow, uow.jobs.get(job.id))
    assert place is not None
    assert second.id in place.waiting_reason
    office.finish_corpus(office.claim("corpus"), digest="2" * 64)
    spec = office.job(job.id).spec
    assert spec is not None
    assert spec["corpus"] == [
        {"corpus": first.id, "weight": 1.0, "digest": "1" * 64},
        {"corpus": second.id, "weight": 2.0, "digest": "2" * 64},
    ]
    assert spec["tokenizer"] == second.default_tokenizer_id  # that of the largest share
    assert office.claim("train.1").subject_id == job.id


def test_missing_datasets_of_a_mixture_are_made_at_the_same_time(office: Office) -> None:
    first, second = office.new_corpus(), office.new_corpus()
    office.finish_corpus(office.claim("corpus"), digest="1" * 64)
    office.finish_corpus(office.claim("corpus"), digest="2" * 64)
    job = office.new_job(mixture(first.id, second.id), tokenizer={"vocab_size": 1024})
    office.finish_tokenizer(office.claim("corpus"), vocab_size=1024)
    one, other = office.claim("corpus"), office.claim("corpus")
    office.finish_dataset(other)
    assert office.try_claim("train.1") is None
    office.finish_dataset(one)
    assert office.claim("train.1").subject_id == job.id


def test_mixture_fails_with_any_of_its_corpora(office: Office) -> None:
    first, second, third = (office.new_corpus() for _ in range(3))
    job = office.new_job(mixture(first.id, second.id, third.id))
    claims = [office.claim("corpus") for _ in range(3)]
    with office.database.unit_of_work(write=True) as uow:
        making.fail(uow, claims[1], code="bad_data", message="nothing in it")
        uow.commit()
    assert office.job(job.id).status is JobStatus.QUEUED  # it waits for the first, and looks then
    office.finish_corpus(claims[0], digest="1" * 64)
    failed = office.job(job.id)
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert (failed.error["code"], failed.error["param"]) == ("corpus_failed", "corpus")
    assert second.id in failed.error["message"]
    with pytest.raises(Conflict, match=second.id):
        office.new_job(mixture(first.id, second.id))


def test_corpus_of_an_unfinished_mixture_is_not_deleted(office: Office) -> None:
    first, second = office.new_corpus(), office.new_corpus()
    job = office.new_job(mixture(first.id, second.id))
    for corpus in (first, second):
        with (
            office.database.unit_of_work(write=True) as uow,
            pytest.raises(Conflict, match=job.id) as caught,
        ):
            corpora.delete(uow, corpus.id, store=office.store)
        assert caught.value.error_code == "corpus_in_use"


def test_unknown_corpus_of_a_mixture_is_named(office: Office) -> None:
    known = office.new_corpus()
    with pytest.raises(NotFound, match="corpus_missing") as caught:
        office.new_job(mixture(known.id, "corpus_missing"))
    assert caught.value.param == "corpus"


def test_recipe_of_a_mixture_gives_the_same_spec_again(office: Office) -> None:
    first, second = office.new_corpus(), office.new_corpus()
    for digit in "12":
        office.finish_corpus(office.claim("corpus"), digest=digit * 64)
    job = office.job(office.new_job(mixture(first.id, second.id)).id)
    again = office.job(office.new_job(**recipe(job)).id)
    assert again.spec == job.spec
