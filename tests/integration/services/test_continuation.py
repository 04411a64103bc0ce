"""Jobs that start from the checkpoint of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, InvalidRequest, NotFound
from core.lifecycle import JobStatus
from core.settings import Settings
from db.tables import Job
from services import checkpoints, job_changes, job_runs, recipe
from services.attempts import Claim
from services.reconcile import Reconciler
from tests.integration.fakes import FakeClock
from tests.integration.services.conftest import Office


@pytest.fixture
def first(office: Office) -> Claim:
    """A running job with two checkpoints that keeps only the later one."""
    kept = {"every_steps": 1, "keep_last": 1, "keep_best": 0}
    office.new_job(office.ready_corpus().id, checkpoints=kept)
    claim = office.claim("train.1")
    with office.database.unit_of_work(write=True) as uow:
        job_runs.start(uow, claim)
        uow.commit()
    return claim


@pytest.fixture
def checkpoint_id(office: Office, first: Claim) -> str:
    """The earlier checkpoint, which its own job does not need any more."""
    found = office.commit_checkpoint(first, step=1)
    office.commit_checkpoint(first, step=2)
    return found


def go_on(office: Office, checkpoint_id: str, **request: Any) -> Job:
    """A job from the checkpoint, on its own corpus if no other is named."""
    with office.database.unit_of_work() as uow:
        corpus = request.pop("corpus", None) or uow.corpora.page().items[0].id
    model = {"from": checkpoint_id, **request.pop("model", {})}
    return office.new_job(corpus, model=model, **request)


def test_spec_has_the_checkpoints_shape_tokenizer_and_weights(
    office: Office, first: Claim, checkpoint_id: str
) -> None:
    job = go_on(office, checkpoint_id, model={"context_length": 512})
    before, spec = office.job(first.subject_id), job.spec
    assert spec is not None
    assert before.spec is not None
    with office.database.unit_of_work() as uow:
        weights = uow.checkpoints.find_file(checkpoint_id, "model.safetensors")
    assert weights is not None
    assert spec["start"] == {"checkpoint": checkpoint_id, "weights_sha256": weights.sha256}
    assert spec["model"].pop("rope_theta") > 10_000
    assert spec["model"] == {**before.spec["model"], "context_length": 512}
    assert job.tokenizer_id == before.tokenizer_id


def test_recipe_of_a_continuation_gives_the_same_spec(office: Office, checkpoint_id: str) -> None:
    job = go_on(office, checkpoint_id, model={"context_length": 512})
    body = recipe.recipe(job)
    again = office.new_job(**body)
    assert again.spec == job.spec


def test_other_tokenizers_are_refused_and_an_equal_one_is_not(
    office: Office, checkpoint_id: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        go_on(office, checkpoint_id, tokenizer={"vocab_size": 4096})
    assert (caught.value.error_code, caught.value.param) == (
        "tokenizer_does_not_match",
        "tokenizer",
    )
    own = go_on(office, checkpoint_id).tokenizer_id
    assert go_on(office, checkpoint_id, tokenizer=own).tokenizer_id == own


def test_a_checkpoint_goes_on_with_another_corpus_and_its_own_tokenizer(
    office: Office, first: Claim, checkpoint_id: str
) -> None:
    other = office.new_corpus()
    job = go_on(office, checkpoint_id, corpus=other.id)
    assert job.tokenizer_id == office.job(first.subject_id).tokenizer_id
    office.finish_corpus(office.claim("corpus"), digest="e" * 64)
    settled = office.job(job.id).spec
    assert settled is not None
    assert settled["start"]["checkpoint"] == checkpoint_id


def test_what_a_job_starts_from_is_neither_pruned_nor_deleted_until_it_ends(
    office: Office, first: Claim, checkpoint_id: str, clock: FakeClock, tmp_path: Path
) -> None:
    reconciler = Reconciler(
        office.database, office.doorbell, office.store, Settings(data_dir=tmp_path)
    )
    job = go_on(office, checkpoint_id)
    clock.advance(600)
    assert reconciler.prune_checkpoints() == 0
    with office.database.unit_of_work(write=True) as uow:
        with pytest.raises(Conflict) as caught:
            checkpoints.delete(uow, checkpoint_id, store=office.store)
        assert checkpoints.make_room(uow, uow.jobs.get(first.subject_id), store=office.store) == []
        assert caught.value.error_code == "checkpoint_in_use"
        job_changes.cancel(uow, job.id)
        uow.commit()
    assert reconciler.prune_checkpoints() == 1
    with pytest.raises(Conflict) as refused:
        go_on(office, checkpoint_id)
    assert (refused.value.error_code, refused.value.param) == ("checkpoint_deleted", "model.from")


def test_a_damaged_beginning_is_never_used_again(office: Office, checkpoint_id: str) -> None:
    with office.database.unit_of_work(write=True) as uow:
        checkpoints.give_up(uow, checkpoint_id)
        uow.commit()
    with pytest.raises(Conflict) as refused:
        go_on(office, checkpoint_id)
    assert refused.value.error_code == "checkpoint_corrupt"


def test_an_unknown_checkpoint_is_not_found(office: Office, checkpoint_id: str) -> None:
    del checkpoint_id
    with pytest.raises(NotFound) as caught:
        go_on(office, "ckpt_nothing")
    assert caught.value.param == "model.from"


def test_a_job_whose_beginning_is_damaged_while_it_waits_fails_clearly(
    office: Office, checkpoint_id: str
) -> None:
    job = go_on(office, checkpoint_id, corpus=office.new_corpus().id)
    with office.database.unit_of_work(write=True) as uow:
        checkpoints.give_up(uow, checkpoint_id)
        uow.commit()
    office.finish_corpus(office.claim("corpus"), digest="e" * 64)
    ended = office.job(job.id)
    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert (ended.error["code"], ended.error["param"]) == ("checkpoint_corrupt", "model.from")


def test_a_checkpoint_whose_tokenizer_is_gone_says_what_to_do(
    office: Office, first: Claim, checkpoint_id: str
) -> None:
    with office.database.unit_of_work(write=True) as uow:
        uow.tokenizers.delete(uow.tokenizers.get(office.job(first.subject_id).tokenizer_id or ""))
        uow.commit()
    with pytest.raises(Conflict, match=r"Upload the checkpoint's tokenizer.json") as caught:
        go_on(office, checkpoint_id)
    assert caught.value.error_code == "tokenizer_deleted"
