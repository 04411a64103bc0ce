"""The pieces of a corpus: planned once, made by anybody, forgiven, failed, given back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import BadData, LeaseLost
from core.ids import new_id
from core.lifecycle import PieceStage, ResourceStatus, WorkKind
from core.settings import Settings
from db.tables import Piece
from services import corpora, making, pieces, recovery
from services.attempts import Claim
from services.pieces import ShardSize
from services.reconcile import Reconciler
from storage import keys
from tests.integration.fakes import FakeClock
from tests.integration.services.conftest import Office

_LARGE = 50_000_000
"""Bytes of a file that shares its piece with no other."""


def plan(office: Office, whole: Claim) -> list[Piece]:
    with office.database.unit_of_work(write=True) as uow:
        planned = pieces.plan_reading(
            uow, whole, bytes_per_piece=64_000_000, doorbell=office.doorbell
        )
        uow.commit()
    return planned


def finish(office: Office, claim: Claim) -> None:
    with office.database.unit_of_work(write=True) as uow:
        prefix = keys.piece_attempt(claim.subject_id, claim.fence)
        pieces.finish(uow, claim, prefix=prefix, result={"num_records": 7})
        uow.commit()


def crash(office: Office, claim: Claim) -> None:
    with office.database.unit_of_work(write=True) as uow:
        recovery.crashed(uow, claim, cause="boom", exit_code=-9, doorbell=office.doorbell)
        uow.commit()


def big_corpus(office: Office, num_files: int) -> Claim:
    """The claim on a corpus of which each file is a piece."""
    office.new_corpus(sizes=[_LARGE] * num_files)
    office.doorbell.take()
    return office.claim("corpus")


def test_pieces_are_planned_once_and_rung_for_but_the_one_that_the_coordinator_makes(
    office: Office,
) -> None:
    whole = big_corpus(office, 3)
    planned = plan(office, whole)
    assert [piece.position for piece in planned] == [0, 1, 2]
    assert office.doorbell.take() == ["corpus"] * 2
    assert [piece.id for piece in plan(office, whole)] == [piece.id for piece in planned]
    assert office.doorbell.take() == []


def test_small_files_are_one_piece_and_wake_nobody(office: Office) -> None:
    office.new_corpus(sizes=[1000] * 20)
    office.doorbell.take()
    assert len(plan(office, office.claim("corpus"))) == 1
    assert office.doorbell.take() == []


def test_whole_things_are_claimed_before_pieces_and_pieces_by_whoever_is_free(
    office: Office,
) -> None:
    plan(office, big_corpus(office, 2))
    other = office.new_corpus()
    assert office.claim("corpus").subject_id == other.id
    claim = office.claim("corpus")
    assert claim.kind is WorkKind.PIECE
    assert claim.parent_id is not None


def test_pieces_of_one_corpus_are_never_given_out_twice(office: Office) -> None:
    whole = big_corpus(office, 12)
    planned = plan(office, whole)

    def claim_all() -> list[str]:
        claimed: list[str] = []
        while (claim := office.try_claim_piece(whole)) is not None:
            claimed.append(claim.subject_id)
        return claimed

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(claim_all) for _ in range(4)]
    claimed = [piece_id for future in futures for piece_id in future.result()]
    assert sorted(claimed) == sorted(piece.id for piece in planned)


def test_zombie_cannot_write_what_became_of_its_piece(office: Office, clock: FakeClock) -> None:
    whole = big_corpus(office, 1)
    [piece] = plan(office, whole)
    zombie = office.claim_piece(whole)
    clock.advance(31)
    heir = office.claim_piece(whole)
    with pytest.raises(LeaseLost):
        finish(office, zombie)
    with office.database.unit_of_work(write=True) as uow, pytest.raises(LeaseLost):
        pieces.advance(uow, zombie, pieces.Done(num_bytes=5))
    finish(office, heir)
    with office.database.unit_of_work() as uow:
        assert uow.pieces.get(piece.id).prefix == keys.piece_attempt(piece.id, heir.fence)


def test_poison_piece_is_tried_three_times_and_its_error_is_its_corpus_s(
    office: Office, clock: FakeClock
) -> None:
    whole = big_corpus(office, 2)
    poison, other = plan(office, whole)
    for _ in range(3):
        claim = office.claim_piece(whole)
        assert claim.subject_id == poison.id
        crash(office, claim)
        clock.advance(15)  # the piece rests, the lease of the whole goes on
        with office.database.unit_of_work(write=True) as uow:
            uow.work.extend(whole.work_id, fence=whole.fence, lease_seconds=30)
            uow.commit()
    assert office.claim_piece(whole).subject_id == other.id
    assert office.outcomes(poison.id) == ["failed"] * 3
    with office.database.unit_of_work() as uow:
        failed = uow.pieces.find_failed(whole.subject_id)
        assert failed is not None
        assert failed.error is not None
        assert failed.error["code"] == "too_many_attempts"
        assert "boom" in failed.error["message"]


def test_finished_piece_forgives_the_earlier_attempts_at_the_whole(
    office: Office, clock: FakeClock
) -> None:
    whole = big_corpus(office, 6)
    plan(office, whole)
    for _ in range(5):
        finish(office, office.claim_piece(whole))
        crash(office, whole)
        clock.advance(600)
        whole = office.claim("corpus")
        assert whole.kind is WorkKind.CORPUS
    assert office.corpus(whole.subject_id).status is not ResourceStatus.FAILED


def test_whole_whose_attempts_finish_no_piece_fails_after_three(
    office: Office, clock: FakeClock
) -> None:
    whole = big_corpus(office, 2)
    plan(office, whole)
    for number in range(3):
        crash(office, whole)
        clock.advance(600)
        if number < 2:
            whole = office.claim("corpus")
    assert office.corpus(whole.subject_id).status is ResourceStatus.FAILED
    assert office.try_claim("corpus") is None, "its pieces have gone"


def test_preempted_piece_is_given_back_and_does_not_count(office: Office) -> None:
    whole = big_corpus(office, 2)
    first, _ = plan(office, whole)
    office.doorbell.take()
    for _ in range(5):
        claim = office.claim_piece(whole)
        assert claim.subject_id == first.id
        with office.database.unit_of_work(write=True) as uow:
            pieces.leave(uow, claim, doorbell=office.doorbell)
            uow.commit()
    assert office.doorbell.take() == ["corpus"] * 5
    assert office.outcomes(first.id) == ["preempted"] * 5


def test_piece_of_a_dead_worker_is_claimed_by_another(office: Office, clock: FakeClock) -> None:
    whole = big_corpus(office, 1)
    [piece] = plan(office, whole)
    office.claim_piece(whole)
    assert office.try_claim_piece(whole) is None
    clock.advance(31)
    settings = Settings(data_dir=office.directory)
    reconciler = Reconciler(office.database, office.doorbell, office.store, settings)
    assert reconciler.expire_leases() == 2, "the whole and its piece"
    assert office.claim_piece(whole).subject_id == piece.id
    assert office.outcomes(piece.id) == ["abandoned", None]


def test_failed_or_deleted_corpus_takes_its_pieces_from_whoever_is_at_one(
    office: Office,
) -> None:
    for end in ("fail", "delete"):
        whole = big_corpus(office, 2)
        plan(office, whole)
        helper = office.claim_piece(whole)
        with office.database.unit_of_work(write=True) as uow:
            if end == "fail":
                making.fail(uow, whole, code="x", message="no text")
            else:
                corpora.delete(uow, whole.subject_id, store=office.store)
            uow.commit()
        with pytest.raises(LeaseLost):
            finish(office, helper)
        assert office.try_claim_piece(whole) is None


def test_file_that_was_deleted_before_it_could_be_read_is_named(office: Office) -> None:
    corpus = office.new_corpus()
    claim = office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        [file_id] = uow.corpora.file_ids(corpus.id)
        uow.files.delete(uow.files.get(file_id))
        with pytest.raises(BadData, match=file_id) as refused:
            pieces.plan_reading(uow, claim, bytes_per_piece=64_000_000, doorbell=office.doorbell)
    assert refused.value.error_code == "file_deleted"


def test_progress_is_the_sum_over_all_pieces(office: Office) -> None:
    whole = big_corpus(office, 2)
    plan(office, whole)
    finish(office, office.claim_piece(whole))
    with office.database.unit_of_work(write=True) as uow:
        pieces.advance(uow, office.claim_piece(whole), pieces.Done(num_records=2, num_bytes=99))
        tally = uow.pieces.tally(whole.subject_id, PieceStage.READ)
    assert (tally.num_pieces, tally.num_ready, tally.num_failed) == (2, 1, 0)
    assert (tally.files_done, tally.num_files) == (1, 2)
    assert (tally.bytes_done, tally.num_bytes) == (_LARGE + 99, 2 * _LARGE)
    assert tally.records_done == 9


def test_small_shards_are_encoded_together_and_for_one_dataset_only(office: Office) -> None:
    corpus = office.ready_corpus()
    job = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    office.finish_tokenizer(office.claim("corpus"), vocab_size=1024)
    claim = office.claim("corpus")
    shards = [ShardSize("train-00000", 2**25), ShardSize("train-00001", 5), ShardSize("val", 1)]
    with office.database.unit_of_work(write=True) as uow:
        dataset = uow.datasets.get(claim.subject_id)
        first = pieces.plan_encoding(uow, claim, dataset, shards, doorbell=office.doorbell)
        assert [piece.task["shards"] for piece in first] == [
            ["train-00000"],
            ["train-00001", "val"],
        ]
        again = pieces.plan_encoding(uow, claim, dataset, shards, doorbell=office.doorbell)
        assert [piece.id for piece in again] == [piece.id for piece in first]
        dataset.id = new_id("dataset")
        other = pieces.plan_encoding(uow, claim, dataset, shards, doorbell=office.doorbell)
        assert not {piece.id for piece in other} & {piece.id for piece in first}
    assert office.job(job.id).id == job.id
