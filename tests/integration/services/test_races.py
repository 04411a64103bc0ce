"""Two transactions at once on PostgreSQL, where the second has to wait for a row of the first.

SQLite has one writer at a time, and so none of these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from core.errors import Conflict
from core.lifecycle import JobStatus
from core.settings import Settings
from db.engine import Database
from db.unit_of_work import UnitOfWork
from services import checkpoints, files, job_changes, making, uploads
from services.files import ReceivedFile
from services.incoming import ReceivedBytes
from services.room import Room
from storage.base import StoredObject
from tests.integration.services.conftest import Office

_PATIENCE_SECONDS = 60.0
_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")


@pytest.fixture
def engine_name() -> str:
    return "postgresql"


@contextmanager
def blocked_by(
    database: Database, change: Callable[[UnitOfWork], object]
) -> Iterator[Future[None]]:
    """``change`` in a transaction of its own, which waits for a row of the present one."""

    def run() -> None:
        with database.unit_of_work(write=True) as uow:
            change(uow)
            uow.commit()

    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(run)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _somebody_waits(database):
            assert not future.done(), "it did not have to wait"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield future


def _somebody_waits(database: Database) -> bool:
    with database.unit_of_work() as uow:
        return bool(uow.session.scalar(_WAITING))


def test_job_can_be_cancelled_while_its_corpus_fails(office: Office) -> None:
    job = office.new_job(office.new_corpus().id)
    claim = office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        assert uow.work.find_for(job.id, lock=True) is not None  # as the first step of `cancel`
        with blocked_by(
            office.database, lambda other: making.fail(other, claim, code="x", message="no text")
        ) as failing:
            job_changes.cancel(uow, job.id)
            uow.commit()
            failing.result(timeout=_PATIENCE_SECONDS)
    assert office.job(job.id).status is JobStatus.CANCELLED
    assert office.events(job.id) == ["job.queued", "job.cancelled"]


def test_checkpoint_that_is_being_deleted_is_not_deleted_twice(office: Office) -> None:
    office.new_job(office.ready_corpus().id)
    claim = office.claim("train.1")
    checkpoint_id = office.commit_checkpoint(claim, step=1)
    office.commit_checkpoint(claim, step=2)
    with office.database.unit_of_work(write=True) as uow:
        checkpoints.delete(uow, checkpoint_id, store=office.store)
        with blocked_by(
            office.database,
            lambda other: checkpoints.delete(other, checkpoint_id, store=office.store),
        ) as second:
            uow.commit()
            with pytest.raises(Conflict) as refused:
                second.result(timeout=_PATIENCE_SECONDS)
    assert refused.value.error_code == "checkpoint_already_deleted"
    assert office.events(claim.subject_id).count("checkpoint.deleted") == 1


def test_bytes_stay_when_a_second_file_refers_to_them_while_the_first_is_deleted(
    office: Office,
) -> None:
    first = upload(office, "blob_1")
    with office.database.unit_of_work(write=True) as uow:
        second = files.create(uow, received("blob_2"), purpose="pretrain", store=office.store)
        with blocked_by(
            office.database, lambda other: files.delete(other, first, store=office.store)
        ) as deleting:
            uow.commit()
            deleting.result(timeout=_PATIENCE_SECONDS)
    with office.database.unit_of_work() as uow:
        assert [blob.id for blob in uow.files.pieces(second.id)] == ["blob_1"]


def test_bytes_stay_when_an_upload_of_the_same_bytes_completes_while_the_file_is_deleted(
    office: Office,
) -> None:
    first = upload(office, "blob_1")
    settings = Settings(min_free_bytes=0)
    room = Room(office.database, office.store, settings)
    with office.database.unit_of_work(write=True) as uow:
        announced = uploads.create(
            uow,
            filename="a.txt",
            num_bytes=3,
            mime_type="text/plain",
            purpose="pretrain",
            lifetime_seconds=None,
            room=room,
            settings=settings,
        )
        sent = received("blob_2", sha256="b" * 64).received
        part, _ = uploads.add_part(
            uow, announced.id, sent, number=None, room=room, store=office.store
        )
        uow.commit()
    with office.database.unit_of_work(write=True) as uow:
        second = uploads.complete(uow, announced.id, [part.id], sha256="a" * 64, store=office.store)
        with blocked_by(
            office.database, lambda other: files.delete(other, first, store=office.store)
        ) as deleting:
            uow.commit()
            deleting.result(timeout=_PATIENCE_SECONDS)
    with office.database.unit_of_work() as uow:
        assert [blob.id for blob in uow.files.pieces(second.file_id or "")] == ["blob_1"]
        assert uow.blobs.count() == 1


def test_the_same_bytes_that_come_twice_at_once_are_kept_once(office: Office) -> None:
    with office.database.unit_of_work(write=True) as uow:
        files.create(uow, received("blob_1"), purpose="pretrain", store=office.store)
        with blocked_by(
            office.database,
            lambda other: files.create(
                other, received("blob_2"), purpose="pretrain", store=office.store
            ),
        ) as second:
            uow.commit()
            second.result(timeout=_PATIENCE_SECONDS)
    with office.database.unit_of_work() as uow:
        assert uow.blobs.count() == 1
        assert uow.files.count() == 2


def upload(office: Office, blob_id: str) -> str:
    with office.database.unit_of_work(write=True) as uow:
        file = files.create(uow, received(blob_id), purpose="pretrain", store=office.store)
        uow.commit()
    return file.id


def received(blob_id: str, *, sha256: str = "a" * 64) -> ReceivedFile:
    stored = StoredObject(key=f"files/{blob_id}", num_bytes=3, sha256=sha256)
    return ReceivedFile("a.txt", ReceivedBytes(blob_id=blob_id, stored=stored))
