from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from core.errors import LeaseLost
from core.lifecycle import DesiredStatus
from db.engine import Database
from db.repositories.work import ClaimedWork
from db.tables import Work
from tests.integration.fakes import FakeClock

QUEUE = "train.1"
LEASE_SECONDS = 30


def claim(database: Database, *, owner: str = "worker-1", queue: str = QUEUE) -> ClaimedWork | None:
    with database.unit_of_work(None, write=True) as uow:
        claimed = uow.work.claim([queue, "corpus"], owner=owner, lease_seconds=LEASE_SECONDS)
        uow.commit()
    return claimed


def must_claim(database: Database, **settings: str) -> ClaimedWork:
    claimed = claim(database, **settings)
    assert claimed is not None
    return claimed


def extend(database: Database, claimed: ClaimedWork) -> DesiredStatus:
    with database.unit_of_work(None, write=True) as uow:
        desired = uow.work.extend(claimed.id, fence=claimed.fence, lease_seconds=LEASE_SECONDS)
        uow.commit()
    return desired


def test_claimed_work_cannot_be_claimed_again(
    database: Database, add_work: Callable[..., Work]
) -> None:
    work = add_work()
    claimed = must_claim(database)
    assert (claimed.id, claimed.subject_id) == (work.id, work.subject_id)
    assert (claimed.fence, claimed.num_attempts) == (1, 1)
    assert claimed.project_id == work.project_id
    assert claim(database, owner="worker-2") is None


def test_the_highest_priority_is_claimed_first_and_then_the_oldest(
    database: Database, add_work: Callable[..., Work]
) -> None:
    works = [add_work(priority=priority) for priority in (0, 5, 0, 5)]
    claimed = [must_claim(database).id for _ in works]
    assert claimed == [works[index].id for index in (1, 3, 0, 2)]


def test_work_of_another_queue_stays(database: Database, add_work: Callable[..., Work]) -> None:
    add_work()
    assert claim(database, queue="train.2") is None


def test_a_lease_lasts_as_long_as_it_says(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    add_work()
    assert must_claim(database).lease_until == clock.now() + timedelta(seconds=LEASE_SECONDS)
    clock.advance(LEASE_SECONDS - 0.001)
    assert claim(database, owner="worker-2") is None


def test_an_expired_lease_lets_another_worker_claim_the_job(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    add_work()
    first = must_claim(database)
    clock.advance(LEASE_SECONDS)
    second = must_claim(database, owner="worker-2")
    assert second.id == first.id
    assert (second.fence, second.num_attempts) == (2, 2)


def test_an_extended_lease_is_not_expired(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    add_work()
    claimed = must_claim(database)
    clock.advance(20)
    assert extend(database, claimed) is DesiredStatus.RUNNING
    clock.advance(20)
    assert claim(database, owner="worker-2") is None


def test_an_owner_who_comes_late_but_first_goes_on(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    add_work()
    claimed = must_claim(database)
    clock.advance(10 * LEASE_SECONDS)
    extend(database, claimed)
    assert claim(database, owner="worker-2") is None


def test_every_write_under_an_old_fence_is_refused(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    add_work()
    zombie = must_claim(database)
    clock.advance(2 * LEASE_SECONDS)
    owner = must_claim(database, owner="worker-2")
    with database.unit_of_work(None, write=True) as uow:
        for write in (
            lambda: uow.work.extend(zombie.id, fence=zombie.fence, lease_seconds=30),
            lambda: uow.work.require(zombie.id, fence=zombie.fence),
            lambda: uow.work.release(zombie.id, fence=zombie.fence),
            lambda: uow.work.finish(zombie.id, fence=zombie.fence),
        ):
            with pytest.raises(LeaseLost):
                write()
        uow.commit()
    with database.unit_of_work(None, write=True) as uow:
        assert uow.work.require(owner.id, fence=owner.fence).owner == "worker-2"


@pytest.mark.parametrize("end", ["release", "finish"])
def test_a_fence_is_worth_nothing_after_its_owner_has_let_go(
    database: Database, add_work: Callable[..., Work], end: str
) -> None:
    add_work()
    claimed = must_claim(database)
    with database.unit_of_work(None, write=True) as uow:
        getattr(uow.work, end)(claimed.id, fence=claimed.fence)
        uow.commit()
    with database.unit_of_work(None, write=True) as uow, pytest.raises(LeaseLost):
        uow.work.require(claimed.id, fence=claimed.fence)


def test_released_work_waits_until_it_is_due(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    add_work()
    claimed = must_claim(database)
    with database.unit_of_work(None, write=True) as uow:
        due = uow.now() + timedelta(seconds=5)
        uow.work.release(claimed.id, fence=claimed.fence, not_before=due, num_fruitless=1)
        uow.commit()
    assert claim(database) is None
    clock.advance(5)
    again = must_claim(database)
    assert (again.fence, again.num_fruitless) == (2, 1)


def test_work_with_too_many_fruitless_attempts_in_a_row_is_not_claimed_again(
    database: Database, add_work: Callable[..., Work]
) -> None:
    add_work()
    for num_fruitless in (1, 2, 3):
        claimed = must_claim(database)
        assert claimed.max_attempts == 3
        with database.unit_of_work(None, write=True) as uow:
            uow.work.release(claimed.id, fence=claimed.fence, num_fruitless=num_fruitless)
            uow.commit()
    assert claim(database) is None


def test_finished_work_is_never_claimed_again(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    add_work()
    claimed = must_claim(database)
    with database.unit_of_work(None, write=True) as uow:
        uow.work.finish(claimed.id, fence=claimed.fence)
        uow.commit()
    clock.advance(10 * LEASE_SECONDS)
    assert claim(database) is None


def test_the_owner_hears_the_wish_to_stop_at_the_next_heartbeat(
    database: Database, add_work: Callable[..., Work]
) -> None:
    add_work()
    claimed = must_claim(database)
    with database.unit_of_work(write=True) as uow:
        uow.work.set_desired(claimed.id, DesiredStatus.PAUSED)
        assert not uow.work.finish_unowned(claimed.id)
        uow.commit()
    assert extend(database, claimed) is DesiredStatus.PAUSED


@pytest.mark.parametrize("desired", [DesiredStatus.PAUSED, DesiredStatus.CANCELLED])
def test_work_that_shall_not_run_is_not_claimed(
    database: Database, add_work: Callable[..., Work], desired: DesiredStatus
) -> None:
    work = add_work()
    with database.unit_of_work(write=True) as uow:
        uow.work.set_desired(work.id, desired)
        uow.commit()
    assert claim(database) is None


def test_work_that_nobody_holds_can_be_ended_by_anybody_once(
    database: Database, add_work: Callable[..., Work]
) -> None:
    work = add_work()
    with database.unit_of_work(write=True) as uow:
        assert uow.work.finish_unowned(work.id)
        assert not uow.work.finish_unowned(work.id)
        uow.commit()
    assert claim(database) is None


def test_work_waits_for_its_corpus_and_is_let_go_with_it(
    database: Database, add_work: Callable[..., Work]
) -> None:
    works = [add_work(waiting_for="corpus_1") for _ in range(2)]
    other = add_work(waiting_for="corpus_2")
    assert claim(database) is None
    with database.unit_of_work(None, write=True) as uow:
        assert [work.id for work in uow.work.waiting_for("corpus_1")] == [w.id for w in works]
        freed = uow.work.unblock("corpus_1")
        uow.commit()
    assert [(work.id, work.waiting_for) for work in freed] == [(work.id, None) for work in works]
    assert {must_claim(database).id, must_claim(database).id} == {work.id for work in works}
    assert claim(database) is None
    with database.unit_of_work() as uow:
        found = uow.work.find_for(other.subject_id)
        assert found is not None
        assert found.waiting_for == "corpus_2"


def test_only_expired_leases_are_reported_as_expired(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    for _ in range(3):
        add_work()
    first, second = must_claim(database), must_claim(database)
    clock.advance(20)
    extend(database, second)
    clock.advance(20)
    with database.unit_of_work(None, write=True) as uow:
        assert [work.id for work in uow.work.expired()] == [first.id]
        uow.work.release(first.id, fence=first.fence)
        assert uow.work.expired() == []
        uow.commit()


def test_work_that_stays_unclaimed_is_rung_for_again(
    database: Database, clock: FakeClock, add_work: Callable[..., Work]
) -> None:
    works = [add_work() for _ in range(2)]
    must_claim(database)
    older_than = timedelta(seconds=5)

    def unclaimed() -> list[str]:
        with database.unit_of_work(None, write=True) as uow:
            found = [work.id for work in uow.work.unclaimed(older_than=older_than)]
            uow.work.mark_rung(found)
            uow.commit()
        return found

    assert unclaimed() == []
    clock.advance(5)
    assert unclaimed() == [works[1].id]
    assert unclaimed() == []
    clock.advance(5)
    assert unclaimed() == [works[1].id]


def test_jobs_ahead_are_those_that_will_be_claimed_sooner(
    database: Database, add_work: Callable[..., Work]
) -> None:
    first, urgent, last = add_work(), add_work(priority=1), add_work()
    add_work(priority=9, waiting_for="corpus_1")
    with database.unit_of_work() as uow:
        assert [uow.work.jobs_ahead(work) for work in (urgent, first, last)] == [0, 1, 2]
    must_claim(database)
    with database.unit_of_work() as uow:
        assert [uow.work.jobs_ahead(work) for work in (first, last)] == [0, 1]


def test_postgresql_leases_follow_the_servers_clock_and_sqlites_the_machines(
    open_database: Callable[..., Database], add_work: Callable[..., Work]
) -> None:
    add_work()
    database = open_database()
    claimed = must_claim(database)
    with database.unit_of_work(None) as uow:
        left = claimed.lease_until - uow.now()
    assert timedelta(seconds=LEASE_SECONDS - 20) < left <= timedelta(seconds=LEASE_SECONDS)
    with database.unit_of_work(None, write=True) as uow:
        uow.work.extend(claimed.id, fence=claimed.fence, lease_seconds=0)
        uow.commit()
    assert must_claim(database, owner="worker-2").fence == 2
