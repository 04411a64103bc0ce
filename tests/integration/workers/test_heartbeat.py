from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from core.lifecycle import DesiredStatus
from core.processes import ProcessIdentity
from db.engine import Database
from services import attempts, job_changes
from services.attempts import Claim
from tests.integration.workers.conftest import House
from workers.heartbeat import Heartbeat

Start = Callable[..., Heartbeat]
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def claim(ready: House) -> Claim:
    """A job that this process holds."""
    ready.new_job(ready.corpus_id)
    with ready.database.unit_of_work(project_id=None, write=True) as uow:
        claim = attempts.begin(
            uow, queues=["train.1"], process=ProcessIdentity.of(os.getpid()), lease_seconds=30
        )
        uow.commit()
    assert claim is not None
    return claim


@pytest.fixture
def start(ready: House, claim: Claim) -> Iterator[Start]:
    """Starts a heartbeat for the claim."""
    beating: list[Heartbeat] = []

    def start_one(database: Database | None = None, **options: float) -> Heartbeat:
        settings = ready.configured()
        beating.append(Heartbeat(database or ready.database, claim, settings=settings, **options))
        return beating[-1]

    yield start_one
    for heartbeat in beating:
        heartbeat.stop()


def lease_of(house: House, claim: Claim) -> datetime:
    """When the lease ends, by the clock of the database."""
    with house.database.unit_of_work() as uow:
        task = uow.work.find_for(claim.subject_id)
    assert task is not None
    assert task.lease_until is not None
    return task.lease_until


@pytest.mark.parametrize("engine_name", ["postgresql"])  # whose clock is not this machine's
def test_lease_of_a_beating_heart_ends_later_with_every_beat(
    ready: House, claim: Claim, start: Start
) -> None:
    heartbeat = start()
    for _ in range(3):
        before = lease_of(ready, claim)
        ready.wait_for(lambda: lease_of(ready, claim) > before, "it is extended")  # noqa: B023 - called here
    assert not heartbeat.is_lost


def test_wish_of_the_user_is_heard(ready: House, claim: Claim, start: Start) -> None:
    heartbeat = start()
    with ready.database.unit_of_work(write=True) as uow:
        job_changes.pause(uow, claim.subject_id)
        uow.commit()
    ready.wait_for(lambda: heartbeat.desired is DesiredStatus.PAUSED, "the wish is heard")


def test_lease_that_another_has_taken_is_noticed(ready: House, claim: Claim, start: Start) -> None:
    heartbeat = start()
    with ready.database.unit_of_work(write=True) as uow:
        uow.work.release(claim.work_id, fence=claim.fence)
        uow.commit()
    ready.wait_for(lambda: heartbeat.is_lost, "the loss is noticed")


@pytest.mark.parametrize("engine_name", ["sqlite"])
def test_database_may_be_away_for_a_while_but_not_for_ever(ready: House, start: Start) -> None:
    away = Database(NOWHERE)
    patient, impatient = start(away), start(away, longest_silence_seconds=0.5)
    ready.wait_for(lambda: impatient.is_lost, "it gives up")
    assert not patient.is_lost
    away.close()
