from __future__ import annotations

import pytest

from core.errors import Conflict, InvalidRequest, NotFound
from core.lifecycle import JobStatus, ResourceStatus, WorkKind
from services import datasets, job_runs, making, pieces, queue_place
from services.pieces import ShardSize
from tests.integration.services.conftest import Office


def test_job_on_a_ready_corpus_has_its_spec_at_once_and_rings(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    stored = office.job(job.id)
    assert stored.spec is not None
    assert stored.spec["model"]["vocab_size"] == 512
    assert stored.num_steps == 10
    assert office.doorbell.take() == ["train.1"]
    assert office.events(job.id) == ["job.queued"]


def test_job_waits_for_its_corpus_and_then_gets_its_spec(office: Office) -> None:
    corpus = office.new_corpus()
    job = office.new_job(corpus.id)
    assert office.doorbell.take() == ["corpus"]
    assert office.try_claim("train.1") is None
    with office.database.unit_of_work() as uow:
        place = queue_place.find(uow, uow.jobs.get(job.id))
    assert place is not None
    assert corpus.id in place.waiting_reason
    office.finish_corpus(office.claim("corpus"))
    assert office.doorbell.take() == ["train.1"]
    assert office.job(job.id).spec is not None
    assert office.claim("train.1").subject_id == job.id


def test_job_waits_for_corpus_then_tokenizer_then_dataset_one_after_the_other(
    office: Office,
) -> None:
    corpus = office.new_corpus()
    job = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    assert office.try_claim("train.1") is None
    office.finish_corpus(office.claim("corpus"))
    assert office.job(job.id).spec is None
    assert office.try_claim("train.1") is None
    claim = office.claim("corpus")
    assert claim.subject_id == office.job(job.id).tokenizer_id
    office.finish_tokenizer(claim, vocab_size=1024)
    spec = office.job(job.id).spec
    assert spec is not None
    assert spec["model"]["vocab_size"] == 1024
    assert office.try_claim("train.1") is None
    claim = office.claim("corpus")
    assert claim.kind is WorkKind.DATASET
    assert waiting_reason(office, job.id) == f"dataset {claim.subject_id} is still being made (0%)"
    with office.database.unit_of_work(write=True) as uow:
        shards = [ShardSize("train-00000", 3 * 2**25), ShardSize("validation-00000", 2**25)]
        dataset = uow.datasets.get(claim.subject_id)
        pieces.plan_encoding(uow, claim, dataset, shards, doorbell=office.doorbell)
        uow.commit()
    piece = office.claim_piece(claim)
    with office.database.unit_of_work(write=True) as uow:
        pieces.finish(uow, piece, prefix=dataset.prefix, result={})
        uow.commit()
    assert waiting_reason(office, job.id).endswith("is still being made (75%)")
    office.finish_dataset(claim)
    assert office.claim("train.1").subject_id == job.id


def waiting_reason(office: Office, job_id: str) -> str:
    with office.database.unit_of_work() as uow:
        place = queue_place.find(uow, uow.jobs.get(job_id))
    assert place is not None
    return place.waiting_reason


def test_jobs_that_need_one_dataset_wait_for_one_piece_of_work(office: Office) -> None:
    corpus = office.ready_corpus()
    first = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    second = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    office.finish_tokenizer(office.claim("corpus"), vocab_size=1024)
    third = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    claim = office.claim("corpus")
    assert office.try_claim("corpus") is None
    office.doorbell.take()
    office.finish_dataset(claim)
    assert office.doorbell.take() == ["train.1"] * 3
    begun = {office.claim("train.1").subject_id for _ in range(3)}
    assert begun == {first.id, second.id, third.id}
    office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    assert office.doorbell.take() == ["train.1"], "there is nothing to wait for"


def test_job_fails_with_its_dataset_and_the_next_one_asks_anew(office: Office) -> None:
    corpus = office.ready_corpus()
    job = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    office.finish_tokenizer(office.claim("corpus"), vocab_size=1024)
    claim = office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        making.fail(uow, claim, code="corpus_damaged", message="a shard is missing")
        uow.commit()
    error = office.job(job.id).error
    assert error is not None
    assert (error["code"], error["param"]) == ("dataset_failed", "corpus")
    assert "a shard is missing" in error["message"]
    office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    assert office.claim("corpus").kind is WorkKind.DATASET


def test_job_whose_dataset_has_gone_waits_until_it_is_made_again(office: Office) -> None:
    corpus = office.ready_corpus()
    job = office.new_job(corpus.id)
    claim = office.claim("train.1")
    with office.database.unit_of_work(write=True) as uow:
        row = uow.corpora.get(corpus.id)
        tokenizer = uow.tokenizers.get(corpus.default_tokenizer_id or "")
        dataset = datasets.find(uow, corpus=row, tokenizer=tokenizer)
        assert dataset is not None
        datasets.delete(uow, dataset, store=office.store)
        job_runs.wait_for_dataset(
            uow, claim, corpora=[row], tokenizer=tokenizer, doorbell=office.doorbell
        )
        uow.commit()
    assert office.try_claim("train.1") is None
    office.finish_dataset(office.claim("corpus"))
    assert office.claim("train.1").subject_id == job.id
    assert office.outcomes(job.id) == ["preempted", None]


def test_job_that_asks_for_an_algorithm_alone_gets_a_tokenizer_of_it(office: Office) -> None:
    corpus = office.ready_corpus()
    wanted = office.new_job(corpus.id, tokenizer={"algorithm": "unigram"})
    tokenizer = office.tokenizer(wanted.tokenizer_id or "")
    assert (tokenizer.algorithm, tokenizer.requested_vocab_size) == ("unigram", None)
    assert (
        office.new_job(corpus.id, tokenizer={"algorithm": "unigram"}).tokenizer_id == tokenizer.id
    )
    usual = office.new_job(corpus.id, tokenizer={"algorithm": "bpe"})
    assert usual.tokenizer_id == corpus.default_tokenizer_id


def test_jobs_of_one_wish_share_one_tokenizer(office: Office) -> None:
    corpus = office.ready_corpus()
    first = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    second = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    assert first.tokenizer_id == second.tokenizer_id
    assert office.new_job(corpus.id).tokenizer_id == corpus.default_tokenizer_id


def test_failed_corpus_fails_its_jobs_its_tokenizers_and_theirs(office: Office) -> None:
    corpus = office.new_corpus()
    direct = office.new_job(corpus.id)
    with_tokenizer = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    claim = office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        making.fail(uow, claim, code="corpus_empty", message="nothing is left", exit_code=65)
        uow.commit()
    assert office.corpus(corpus.id).error == {
        "code": "corpus_empty",
        "message": "nothing is left",
        "param": None,
    }
    for job_id in (direct.id, with_tokenizer.id):
        job = office.job(job_id)
        assert job.status is JobStatus.FAILED
        assert job.error is not None
        assert job.error["code"] == "corpus_failed"
        assert corpus.id in job.error["message"]
        assert office.events(job_id)[-1] == "job.failed"
    assert office.tokenizer(with_tokenizer.tokenizer_id or "").status is ResourceStatus.FAILED
    failed = [type_ for type_ in office.events() if type_.endswith(".failed")]
    assert sorted(failed) == ["corpus.failed", "job.failed", "job.failed", "tokenizer.failed"]
    assert office.try_claim("corpus", "train.1") is None
    with pytest.raises(Conflict) as refused:
        office.new_job(corpus.id)
    assert refused.value.error_code == "corpus_failed"


def test_unknown_corpus_and_tokenizer_name_their_field(office: Office) -> None:
    with pytest.raises(NotFound) as unknown:
        office.new_job("corpus_unknown")
    assert unknown.value.param == "corpus"
    with pytest.raises(NotFound) as unknown:
        office.new_job(office.ready_corpus().id, tokenizer="tokenizer_unknown")
    assert unknown.value.param == "tokenizer"


def test_impossible_shape_is_refused_and_leaves_nothing(office: Office) -> None:
    corpus = office.ready_corpus()
    with pytest.raises(InvalidRequest) as refused:
        office.new_job(corpus.id, model={"layers": 1, "width": 100, "heads": 3})
    assert refused.value.param == "model.heads"
    assert office.try_claim("train.1") is None


def test_queue_place_counts_the_jobs_ahead(office: Office) -> None:
    corpus = office.ready_corpus()
    office.new_job(corpus.id)
    office.new_job(corpus.id)
    urgent = office.new_job(corpus.id, priority=5)
    last = office.new_job(corpus.id)
    with office.database.unit_of_work() as uow:
        first_place = queue_place.find(uow, uow.jobs.get(urgent.id))
        last_place = queue_place.find(uow, uow.jobs.get(last.id))
    assert first_place is not None
    assert first_place.position == 1
    assert last_place is not None
    assert last_place.jobs_ahead == 3
