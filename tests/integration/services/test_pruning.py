"""Which checkpoints of a job go, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Unavailable
from core.settings import Settings
from services import checkpoints, job_runs
from services.attempts import Claim
from services.doorbell import SilentDoorbell
from services.reconcile import Reconciler
from tests.integration.fakes import FakeClock
from tests.integration.services.conftest import Office


@pytest.fixture
def reconciler(office: Office, tmp_path: Path) -> Reconciler:
    return Reconciler(office.database, office.doorbell, office.store, Settings(data_dir=tmp_path))


class DeadBroker(SilentDoorbell):
    """A doorbell whose broker is away."""

    def waiting(self, queue_name: str) -> int:
        raise Unavailable(f"Nobody answers for {queue_name}.")


def begin(office: Office, *, keep_last: int, keep_best: int) -> Claim:
    kept = {"every_steps": 1, "keep_last": keep_last, "keep_best": keep_best}
    office.new_job(office.ready_corpus().id, checkpoints=kept)
    claim = office.claim("train.1")
    with office.database.unit_of_work(write=True) as uow:
        job_runs.start(uow, claim)
        uow.commit()
    return claim


def pin(office: Office, checkpoint_id: str, *, pinned: bool) -> None:
    with office.database.unit_of_work(write=True) as uow:
        checkpoints.pin(uow, checkpoint_id, pinned=pinned)
        uow.commit()


def test_pruning_keeps_the_last_the_best_and_the_pinned(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    claim = begin(office, keep_last=2, keep_best=1)
    losses = [5.0, 1.0, 4.0, 3.0, 3.5, 3.2]
    ids = [
        office.commit_checkpoint(claim, step=step, loss=loss)
        for step, loss in enumerate(losses, start=1)
    ]
    pin(office, ids[0], pinned=True)
    clock.advance(120)
    assert reconciler.prune_checkpoints() == 2
    assert office.steps_saved(claim.subject_id) == [1, 2, 5, 6]
    assert office.events(claim.subject_id).count("checkpoint.deleted") == 2
    clock.advance(600)
    assert reconciler.prune_checkpoints() == 0


def test_pruning_waits_two_minutes_from_when_a_checkpoint_is_needed_no_more(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    claim = begin(office, keep_last=1, keep_best=0)
    office.commit_checkpoint(claim, step=1)
    clock.advance(1000)
    office.commit_checkpoint(claim, step=2)
    clock.advance(60)
    office.commit_checkpoint(claim, step=3)
    clock.advance(59)
    assert reconciler.prune_checkpoints() == 0
    clock.advance(1)
    assert reconciler.prune_checkpoints() == 1
    assert office.steps_saved(claim.subject_id) == [2, 3]
    clock.advance(60)
    assert reconciler.run_once()
    assert office.steps_saved(claim.subject_id) == [3]


def test_checkpoint_that_is_let_go_waits_as_one_that_fell_out_then(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    claim = begin(office, keep_last=1, keep_best=0)
    first = office.commit_checkpoint(claim, step=1)
    office.commit_checkpoint(claim, step=2)
    clock.advance(100)
    pin(office, first, pinned=True)
    clock.advance(1000)
    assert reconciler.prune_checkpoints() == 0
    pin(office, first, pinned=False)
    clock.advance(119)
    assert reconciler.prune_checkpoints() == 0
    clock.advance(1)
    assert reconciler.prune_checkpoints() == 1


def test_waiting_checkpoint_is_needed_again_when_a_later_one_breaks(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    claim = begin(office, keep_last=1, keep_best=0)
    office.commit_checkpoint(claim, step=1)
    broken = office.commit_checkpoint(claim, step=2)
    with office.database.unit_of_work(write=True) as uow:
        checkpoints.mark_corrupt(uow, claim, broken, reason="a bit flipped")
        uow.commit()
    clock.advance(600)
    assert reconciler.prune_checkpoints() == 0
    with office.database.unit_of_work() as uow:
        assert [row.step for row in uow.checkpoints.of_job(claim.subject_id)] == [1]


def test_short_disk_ends_the_waiting(office: Office, tmp_path: Path) -> None:
    claim = begin(office, keep_last=1, keep_best=0)
    for step in (1, 2, 3):
        office.commit_checkpoint(claim, step=step)
    short = Settings(data_dir=tmp_path, min_free_bytes=1 << 62)
    reconciler = Reconciler(office.database, office.doorbell, office.store, short)
    assert reconciler.prune_checkpoints() == 2
    assert office.steps_saved(claim.subject_id) == [3]


def test_best_checkpoint_is_one_that_exists_after_pruning(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    claim = begin(office, keep_last=1, keep_best=0)
    best = office.commit_checkpoint(claim, step=1, loss=1.0)
    latest = office.commit_checkpoint(claim, step=2, loss=2.0)
    assert office.job(claim.subject_id).best_checkpoint_id == best
    clock.advance(120)
    reconciler.prune_checkpoints()
    assert office.job(claim.subject_id).best_checkpoint_id == latest


def test_broker_that_is_away_keeps_nothing_from_being_pruned(
    office: Office, clock: FakeClock, tmp_path: Path
) -> None:
    claim = begin(office, keep_last=1, keep_best=0)
    for step in (1, 2):
        office.commit_checkpoint(claim, step=step)
    office.new_job(office.job(claim.subject_id).request["corpus"])  # which nobody claims
    clock.advance(120)
    settings = Settings(data_dir=tmp_path, lease_seconds=600)
    Reconciler(office.database, DeadBroker(), office.store, settings).run_once()
    assert office.steps_saved(claim.subject_id) == [2]


def test_best_checkpoint_is_the_one_that_users_of_its_kind_of_model_would_choose(
    office: Office,
) -> None:
    claim = begin(office, keep_last=3, keep_best=1)
    first, second = "validation/bits_per_byte", "validation/loss"
    office.commit_checkpoint(claim, step=1, metrics={first: 2.0, second: 1.0})
    best = office.commit_checkpoint(claim, step=2, metrics={first: 1.5, second: 3.0})
    office.commit_checkpoint(claim, step=3, metrics={second: 0.5})
    assert office.job(claim.subject_id).best_checkpoint_id == best


def test_of_checkpoints_that_nobody_has_measured_the_latest_is_the_best(office: Office) -> None:
    claim = begin(office, keep_last=3, keep_best=1)
    for step in (1, 2):
        latest = office.commit_checkpoint(claim, step=step, metrics={})
        assert office.job(claim.subject_id).best_checkpoint_id == latest
    measured = office.commit_checkpoint(claim, step=3, metrics={"validation/bits_per_byte": 2.0})
    office.commit_checkpoint(claim, step=4, metrics={})
    assert office.job(claim.subject_id).best_checkpoint_id == measured
