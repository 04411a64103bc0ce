from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import CheckpointDamaged, LeaseLost
from core.lifecycle import JobStatus
from core.processes import ProcessIdentity
from core.settings import Settings
from db.repositories.metrics import MetricPoint
from services import attempts, checkpoints, job_changes, job_outcomes, job_runs, recovery
from services.attempts import Claim
from services.reconcile import Reconciler, free_leases_of_the_dead
from storage import keys
from tests.integration.fakes import FakeClock
from tests.integration.services.conftest import Office


@pytest.fixture
def reconciler(office: Office, tmp_path: Path) -> Reconciler:
    settings = Settings(data_dir=tmp_path, ring_again_seconds=5)
    return Reconciler(office.database, office.doorbell, office.store, settings)


def start(office: Office, claim: Claim) -> None:
    with office.database.unit_of_work(write=True) as uow:
        job_runs.start(uow, claim)
        uow.commit()


def crash(office: Office, claim: Claim) -> None:
    with office.database.unit_of_work(write=True) as uow:
        recovery.crashed(uow, claim, cause="boom", exit_code=1, doorbell=office.doorbell)
        uow.commit()


def test_poison_job_is_tried_exactly_max_attempts_times(office: Office, clock: FakeClock) -> None:
    job = office.new_job(office.ready_corpus().id, max_attempts=3)
    for _ in range(3):
        clock.advance(600)
        claim = office.claim("train.1")
        start(office, claim)
        crash(office, claim)
    clock.advance(600)
    assert office.try_claim("train.1") is None
    failed = office.job(job.id)
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert failed.error["code"] == "too_many_attempts"
    assert "boom" in failed.error["message"]
    assert office.outcomes(job.id) == ["failed"] * 3


def test_poison_job_whose_owners_vanish_is_tried_exactly_max_attempts_times(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    job = office.new_job(office.ready_corpus().id, max_attempts=3)
    for _ in range(3):
        start(office, office.claim("train.1"))
        clock.advance(31)
        assert reconciler.expire_leases() == 1
        clock.advance(600)
    assert office.try_claim("train.1") is None
    assert office.job(job.id).status is JobStatus.FAILED
    assert office.outcomes(job.id) == ["abandoned"] * 3


def test_crashes_after_new_checkpoints_never_fail_a_job(office: Office, clock: FakeClock) -> None:
    job = office.new_job(office.ready_corpus().id, max_attempts=2)
    for step in range(1, 7):
        clock.advance(600)
        claim = office.claim("train.1")
        start(office, claim)
        office.commit_checkpoint(claim, step=step)
        crash(office, claim)
    assert office.job(job.id).status is JobStatus.QUEUED
    clock.advance(600)
    start(office, office.claim("train.1"))
    assert office.job(job.id).step == 6


def test_preemptions_never_fail_a_job(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id, max_attempts=1)
    for _ in range(5):
        claim = office.claim("train.1")
        start(office, claim)
        with office.database.unit_of_work(write=True) as uow:
            job_outcomes.leave(uow, claim, doorbell=office.doorbell)
            uow.commit()
    assert office.job(job.id).status is JobStatus.QUEUED
    assert office.outcomes(job.id) == ["preempted"] * 5


def test_crashed_job_rests_longer_after_each_attempt() -> None:
    delays = [attempts.retry_delay(count).total_seconds() for count in range(10)]
    assert delays == [0, 5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_owner_of_an_old_fence_can_write_nothing(office: Office, clock: FakeClock) -> None:
    job = office.new_job(office.ready_corpus().id)
    zombie = office.claim("train.1")
    clock.advance(31)
    start(office, office.claim("train.1"))
    with pytest.raises(LeaseLost):
        office.commit_checkpoint(zombie, step=5)
    for write in (job_runs.start, job_outcomes.succeed):
        with office.database.unit_of_work(write=True) as uow, pytest.raises(LeaseLost):
            write(uow, zombie)
    with office.database.unit_of_work(write=True) as uow, pytest.raises(LeaseLost):
        job_runs.advance(uow, zombie, job_runs.Advance(step=5, tokens=50))
    assert office.job(job.id).status is JobStatus.RUNNING
    assert office.job(job.id).latest_checkpoint_id is None


def test_expired_lease_is_abandoned_and_rung_for(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    job = office.new_job(office.ready_corpus().id)
    start(office, office.claim("train.1"))
    office.doorbell.take()
    clock.advance(29)
    assert reconciler.expire_leases() == 0
    clock.advance(2)
    assert reconciler.expire_leases() == 1
    assert office.doorbell.take() == ["train.1"]
    assert office.job(job.id).status is JobStatus.QUEUED
    claim = office.claim("train.1")
    start(office, claim)
    assert office.events(job.id) == ["job.queued", "job.started", "job.recovered"]
    with office.database.unit_of_work() as uow:
        [recovered] = uow.events.page(job_id=job.id, types=["job.recovered"]).items
    assert recovered.message.endswith("from step 0; the attempt before this one was cut off.")


def test_wish_to_cancel_is_fulfilled_though_the_worker_is_dead(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    job = office.new_job(office.ready_corpus().id)
    start(office, office.claim("train.1"))
    with office.database.unit_of_work(write=True) as uow:
        job_changes.cancel(uow, job.id)
        uow.commit()
    clock.advance(31)
    reconciler.expire_leases()
    assert office.job(job.id).status is JobStatus.CANCELLED


def test_lease_of_a_dead_process_of_this_host_is_freed_before_it_runs_out(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        claim = office.claim("train.1", pid=process.pid)
        start(office, claim)
        assert free_leases_of_the_dead(office.database, doorbell=office.doorbell) == 0
        process.kill()
        process.wait()
    assert free_leases_of_the_dead(office.database, doorbell=office.doorbell) == 1
    assert office.job(job.id).status is JobStatus.QUEUED
    assert office.outcomes(job.id) == ["abandoned"]
    assert office.claim("train.1").fence == claim.fence + 1


def test_wiped_broker_is_rung_again_but_never_flooded(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    corpus = office.ready_corpus()
    for _ in range(3):
        office.new_job(corpus.id)
    assert office.doorbell.take() == ["train.1"] * 3
    assert reconciler.ring_again() == 0
    clock.advance(5)
    assert reconciler.ring_again() == 3
    clock.advance(5)
    assert reconciler.ring_again() == 0
    office.doorbell.rings.pop()
    clock.advance(5)
    assert reconciler.ring_again() == 1


def test_only_one_reconciler_leads_until_it_is_silent(
    office: Office, clock: FakeClock, reconciler: Reconciler, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path)
    other = Reconciler(office.database, office.doorbell, office.store, settings)
    assert reconciler.run_once()
    assert not other.run_once()
    clock.advance(31)
    assert other.run_once()


def test_reconciler_of_a_service_that_was_killed_leads_at_once_when_it_is_started_again(
    office: Office, reconciler: Reconciler, tmp_path: Path
) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        before = Reconciler(
            office.database,
            office.doorbell,
            office.store,
            Settings(data_dir=tmp_path),
            process=ProcessIdentity.of(process.pid),
        )
        assert before.run_once()
        assert not reconciler.run_once()
        process.kill()
    assert reconciler.run_once()


def test_best_and_latest_checkpoint_follow_loss_and_step(office: Office) -> None:
    job = office.new_job(office.ready_corpus().id)
    claim = office.claim("train.1")
    start(office, claim)
    office.commit_checkpoint(claim, step=1, loss=3.0)
    best = office.commit_checkpoint(claim, step=2, loss=2.0)
    latest = office.commit_checkpoint(claim, step=3, loss=2.5)
    assert office.job(job.id).best_checkpoint_id == best
    assert office.job(job.id).latest_checkpoint_id == latest


def test_energy_that_a_device_tells_adds_up_and_is_left_out_where_none_does(
    office: Office,
) -> None:
    job = office.new_job(office.ready_corpus().id)
    claim = office.claim("train.1")
    start(office, claim)
    told = []
    for step, joules in ((1, None), (2, 50.0), (3, None), (4, 25.5)):
        points = [MetricPoint(step=step, tokens=step, name="train/loss", value=1.0)]
        if joules is not None:
            name = "system/energy_joules"
            points.append(MetricPoint(step=step, tokens=step, name=name, value=joules))
        with office.database.unit_of_work(write=True) as uow:
            change = job_runs.Advance(step=step, tokens=step, points=points)
            job_runs.advance(uow, claim, change)
            uow.commit()
        told.append(office.job(job.id).usage.get("energy_joules"))
    assert told == [None, 50.0, 50.0, 75.5]


def test_commit_whose_answer_was_lost_can_be_repeated(office: Office) -> None:
    office.new_job(office.ready_corpus().id)
    claim = office.claim("train.1")
    start(office, claim)
    first = office.commit_checkpoint(claim, step=1)
    assert office.commit_checkpoint(claim, step=1) == first


def test_only_orphans_that_nobody_can_commit_any_more_are_swept(
    office: Office, clock: FakeClock, reconciler: Reconciler
) -> None:
    job = office.new_job(office.ready_corpus().id)
    claim = office.claim("train.1")
    start(office, claim)
    office.commit_checkpoint(claim, step=1)
    writer = office.store.writer(keys.checkpoint(job.id, 2, claim.fence) + "manifest.json")
    writer.write(b"{}")
    writer.commit()
    assert reconciler.sweep_orphans() == 0
    crash(office, claim)
    clock.advance(3500)
    assert reconciler.sweep_orphans() == 0
    clock.advance(200)
    assert reconciler.sweep_orphans() == 1
    left = [key.key for key in office.store.list(keys.job_checkpoints(job.id))]
    assert all("step-00000001" in key for key in left)
    assert left


def test_damaged_checkpoint_is_noticed_before_it_is_used(tmp_path: Path, office: Office) -> None:
    office.new_job(office.ready_corpus().id)
    claim = office.claim("train.1")
    start(office, claim)
    identifier = office.commit_checkpoint(claim, step=1)
    with office.database.unit_of_work() as uow:
        files = uow.checkpoints.files(identifier)
    directory = office.store.materialise(
        keys.checkpoint(claim.subject_id, 1, claim.fence), cache=tmp_path
    )
    checkpoints.verify(directory, files)
    (directory / "model.safetensors").write_bytes(b"model.safetensors 2")
    with pytest.raises(CheckpointDamaged):
        checkpoints.verify(directory, files)
