from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import PretrainerError, QuotaExceeded, TooLarge, Unavailable
from core.processes import ProcessIdentity
from core.settings import Settings
from db.engine import Database
from db.tables import DEFAULT_PROJECT_ID, Blob, Reservation
from services import expiry
from services.room import HeldRoom, Room
from storage.local import LocalStore
from tests.integration.fakes import FakeClock

MB = 1_000_000
CAPACITY = 100 * MB
FLOOR = 10 * MB


class SmallStore(LocalStore):
    """A store on a disk of 100 MB."""

    def free_bytes(self) -> int:
        """What its files leave."""
        return CAPACITY - sum(stored.num_bytes for stored in self.list(""))

    def total_bytes(self) -> int:
        """What it would take empty."""
        return CAPACITY


@pytest.fixture
def store(tmp_path: Path) -> SmallStore:
    return SmallStore(tmp_path / "store")


def room_of(database: Database, store: SmallStore, *, quota: int | None = None) -> Room:
    settings = Settings(min_free_bytes=FLOOR, storage_quota_bytes=quota)
    return Room(database, store, settings)


def reserve(room: Room, num_bytes: int, *, project_id: str = DEFAULT_PROJECT_ID) -> HeldRoom:
    return room.reserve(project_id, num_bytes=num_bytes, max_bytes=CAPACITY)


def reserve_at_once(room: Room, num_bytes: int) -> tuple[int, set[str]]:
    """How many of 12 that ask at the same time get room, and what the others are told."""

    def ask(_: int) -> str | None:
        try:
            reserve(room, num_bytes)
        except PretrainerError as error:
            return error.error_code
        return None

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))
    return answers.count(None), {answer for answer in answers if answer is not None}


def put(store: SmallStore, key: str, num_bytes: int) -> None:
    writer = store.writer(key)
    writer.write(bytes(num_bytes))
    writer.commit()


def test_the_last_room_on_the_disk_is_promised_once(database: Database, store: SmallStore) -> None:
    assert reserve_at_once(room_of(database, store), 20 * MB) == (4, {"disk_full"})


def test_what_no_empty_disk_would_take_is_too_large_and_not_to_be_waited_for(
    database: Database, store: SmallStore
) -> None:
    put(store, "files/blob_1", 50 * MB)
    room = room_of(database, store)
    with pytest.raises(Unavailable):
        reserve(room, CAPACITY - FLOOR)
    with pytest.raises(TooLarge, match=f"at most {CAPACITY - FLOOR} bytes"):
        reserve(room, CAPACITY - FLOOR + 1)


def test_the_last_of_a_quota_is_promised_once(database: Database, store: SmallStore) -> None:
    room = room_of(database, store, quota=MB)
    assert reserve_at_once(room, 300_000) == (3, {"insufficient_quota"})


def test_room_that_was_given_back_is_promised_again(database: Database, store: SmallStore) -> None:
    room = room_of(database, store)
    held = reserve(room, 90 * MB)
    with pytest.raises(Unavailable):
        reserve(room, 1)
    held.release()
    reserve(room, 90 * MB)


def test_bytes_that_lie_on_the_disk_are_not_waited_for_besides(
    database: Database, store: SmallStore
) -> None:
    room = room_of(database, store)
    held = reserve(room, 60 * MB)
    put(store, "files/a", 50 * MB)
    with pytest.raises(Unavailable):
        reserve(room, 20 * MB)
    held.count(50 * MB)
    held.settle()
    reserve(room, 30 * MB)


def test_more_bytes_than_announced_must_fit_too(database: Database, store: SmallStore) -> None:
    room = room_of(database, store, quota=30 * MB)
    held = reserve(room, 10 * MB)
    held.count(15 * MB)
    held.close()
    with pytest.raises(QuotaExceeded):
        reserve(room, 16 * MB)
    with pytest.raises(QuotaExceeded):
        held.count(17 << 20)
    with pytest.raises(TooLarge):
        reserve(room, CAPACITY + 1)


def test_a_disk_that_fills_up_meanwhile_stops_an_upload(
    database: Database, store: SmallStore
) -> None:
    held = reserve(room_of(database, store), 80 * MB)
    held.count(1 << 20)
    put(store, "files/of-somebody-else", 95 * MB)
    with pytest.raises(Unavailable) as refused:
        held.count(16 << 20)
    assert refused.value.error_code == "disk_full"


def test_stored_bytes_count_and_a_projects_own_quota_goes_first(
    database: Database, store: SmallStore, other_project: str
) -> None:
    room = room_of(database, store, quota=1000)
    with database.unit_of_work(write=True) as uow:
        uow.projects.get(DEFAULT_PROJECT_ID).storage_quota_bytes = 500
        uow.blobs.add(Blob(key="files/1", num_bytes=400, sha256="0" * 64))
        uow.commit()
    reserve(room, 100)
    with pytest.raises(QuotaExceeded, match="may store 500 bytes, and with these it would be 501"):
        reserve(room, 1)
    reserve(room, 1000, project_id=other_project)


def test_room_of_a_dead_process_is_given_back(database: Database, store: SmallStore) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = ProcessIdentity.of(process.pid)
    room = room_of(database, store)
    mine = reserve(room, 40 * MB)
    add_reservation(database, identity, num_bytes=50 * MB)
    with pytest.raises(Unavailable):
        reserve(room, 1)
    assert expiry.free_room(database) == 1
    reserve(room, 50 * MB)
    mine.settle()


def test_room_of_a_silent_host_runs_out(
    database: Database, store: SmallStore, clock: FakeClock
) -> None:
    room = room_of(database, store)
    mine = reserve(room, 45 * MB)
    clock.advance(1000)
    mine.settle()
    elsewhere = ProcessIdentity(host="elsewhere", pid=1, started=1.0, boot_id="another")
    add_reservation(database, elsewhere, num_bytes=45 * MB, age=timedelta(seconds=1000))
    assert expiry.free_room(database) == 0
    clock.advance(1000)
    reserve(room, 45 * MB).release()
    assert expiry.free_room(database) == 1
    clock.advance(1000)
    assert expiry.free_room(database) == 1
    with pytest.raises(Unavailable, match="given away"):
        mine.settle()


def add_reservation(
    database: Database, process: ProcessIdentity, *, num_bytes: int, age: timedelta = timedelta()
) -> None:
    with database.unit_of_work(write=True) as uow:
        uow.reservations.add(
            Reservation(
                num_bytes=num_bytes,
                until=uow.now() + timedelta(minutes=30) - age,
                host=process.host,
                pid=process.pid,
                pid_started=process.started,
                boot_id=process.boot_id,
            )
        )
        uow.commit()


def test_the_oldest_room_tells_since_when_bytes_may_lie_unknown(
    database: Database, store: SmallStore, clock: FakeClock
) -> None:
    with database.unit_of_work(None) as uow:
        assert uow.upkeep.oldest_reservation_at() is None
    began = clock.now()
    held = reserve(room_of(database, store), 1)
    clock.advance(60)
    reserve(room_of(database, store), 1)
    with database.unit_of_work(None) as uow:
        assert uow.upkeep.oldest_reservation_at() == began
    held.release()
    with database.unit_of_work(None) as uow:
        assert uow.upkeep.oldest_reservation_at() == clock.now()
