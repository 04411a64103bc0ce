from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import Conflict, NotFound, QuotaExceeded, TooLarge
from core.lifecycle import ResourceStatus, UploadStatus
from core.settings import Settings
from db.engine import Database
from db.tables import DEFAULT_PROJECT_ID, Corpus, File, Upload, UploadPart
from services import expiry, files, uploads
from services.files import ReceivedFile
from services.incoming import IncomingBytes, ReceivedBytes
from services.room import Room
from storage.local import LocalStore
from storage.stretches import read_stretches
from tests.integration.fakes import FakeClock

CONTENT = random.Random(0).randbytes(30_000)
PIECES = [CONTENT[:10_000], CONTENT[10_000:15_000], CONTENT[15_000:]]
DAY = 86_400


class Uploads:
    """What the API does with uploads, in a few words each."""

    def __init__(self, database: Database, store: LocalStore, *, quota: int | None = None) -> None:
        self.database = database
        self.store = store
        self.settings = Settings(min_free_bytes=0, storage_quota_bytes=quota)
        self.room = Room(database, store, self.settings)

    def create(self, num_bytes: int = len(CONTENT), *, lifetime: int | None = None) -> str:
        with self.database.unit_of_work(write=True) as uow:
            upload = uploads.create(
                uow,
                filename="a.txt",
                num_bytes=num_bytes,
                mime_type="text/plain",
                purpose="pretrain",
                lifetime_seconds=lifetime,
                room=self.room,
                settings=self.settings,
            )
            uow.commit()
        return upload.id

    def receive(self, data: bytes) -> ReceivedBytes:
        held = self.room.reserve(
            DEFAULT_PROJECT_ID, num_bytes=len(data), max_bytes=1 << 30, is_announced=True
        )
        incoming = IncomingBytes(self.store, room=held, max_bytes=1 << 30, param="data")
        incoming.write(data)
        received = incoming.finish()
        held.release()
        return received

    def add(self, upload_id: str, data: bytes, *, number: int | None = None) -> UploadPart:
        received, is_new = self.receive(data), False
        try:
            with self.database.unit_of_work(write=True) as uow:
                part, is_new = uploads.add_part(
                    uow, upload_id, received, number=number, room=self.room, store=self.store
                )
                uow.commit()
        finally:
            if not is_new:
                self.store.delete(received.stored.key)
        return part

    def add_file(self, data: bytes, *, lifetime: int | None = None) -> File:
        received = ReceivedFile("b.txt", self.receive(data))
        with self.database.unit_of_work(write=True) as uow:
            file = files.create(
                uow, received, purpose="pretrain", lifetime_seconds=lifetime, store=self.store
            )
            uow.commit()
        return file

    def complete(self, upload_id: str, part_ids: list[str]) -> Upload:
        with self.database.unit_of_work() as uow:
            assembly = uploads.assemble(uow, upload_id, part_ids)
        digests = assembly.digest(self.store, with_md5=False)
        with self.database.unit_of_work(write=True) as uow:
            upload = uploads.complete(
                uow, upload_id, part_ids, sha256=digests.sha256, store=self.store
            )
            uow.commit()
        return upload

    def upload(self, upload_id: str) -> Upload:
        with self.database.unit_of_work() as uow:
            return uow.uploads.get(upload_id)

    def content(self, file_id: str) -> bytes:
        with self.database.unit_of_work() as uow:
            num_bytes = uow.files.get(file_id).num_bytes
            where = files.stretches(uow, file_id)
        return b"".join(read_stretches(self.store, where, start=0, end=num_bytes))

    def num_stored(self) -> int:
        """The bytes in the store; what the database says of them must agree."""
        found = {stored.key: stored.num_bytes for stored in self.store.list("")}
        with self.database.unit_of_work() as uow:
            assert uow.blobs.count() == len(found)
        return sum(found.values())


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def desk(database: Database, store: LocalStore) -> Uploads:
    return Uploads(database, store)


def test_parts_become_the_pieces_of_a_file_in_the_asked_order(desk: Uploads) -> None:
    upload_id = desk.create()
    last, first, middle = (desk.add(upload_id, PIECES[index]) for index in (2, 0, 1))
    desk.add(upload_id, b"sent by mistake")
    upload = desk.complete(upload_id, [first.id, middle.id, last.id])
    assert upload.status is UploadStatus.COMPLETED
    assert desk.content(upload.file_id or "") == CONTENT
    assert desk.num_stored() == len(CONTENT)
    with desk.database.unit_of_work() as uow:
        file = uow.files.get(upload.file_id or "")
        assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert uow.upload_parts.of_upload(upload_id) == []


def test_a_part_sent_again_from_everywhere_at_once_is_one_part(desk: Uploads) -> None:
    upload_id = desk.create()
    with ThreadPoolExecutor(8) as pool:
        parts = list(
            pool.map(lambda n: desk.add(upload_id, PIECES[n % 2], number=n % 2), range(16))
        )
    assert len({part.id for part in parts}) == 2
    with desk.database.unit_of_work() as uow:
        assert [part.number for part in uow.upload_parts.of_upload(upload_id)] == [0, 1]
    assert desk.num_stored() == len(PIECES[0]) + len(PIECES[1])


def test_other_bytes_under_a_number_take_the_place_of_the_first(desk: Uploads) -> None:
    upload_id = desk.create()
    wrong = desk.add(upload_id, b"wrong", number=7)
    right = desk.add(upload_id, PIECES[0], number=7)
    assert right.id != wrong.id
    assert desk.num_stored() == len(PIECES[0])
    with pytest.raises(NotFound) as missing:
        desk.complete(upload_id, [wrong.id])
    assert missing.value.error_code == "part_not_found"


def test_parts_with_equal_bytes_are_stored_once_and_read_twice(desk: Uploads) -> None:
    upload_id = desk.create(2 * len(PIECES[0]))
    parts = [desk.add(upload_id, PIECES[0]) for _ in range(2)]
    assert desk.num_stored() == len(PIECES[0])
    upload = desk.complete(upload_id, [part.id for part in parts])
    assert desk.content(upload.file_id or "") == 2 * PIECES[0]
    assert desk.num_stored() == len(PIECES[0])


@pytest.mark.parametrize("first_way", ["whole", "parts"])
def test_the_same_file_is_stored_once_whichever_way_it_comes(desk: Uploads, first_way: str) -> None:
    def in_parts() -> str:
        upload_id = desk.create()
        part_ids = [desk.add(upload_id, piece).id for piece in PIECES]
        return desk.complete(upload_id, part_ids).file_id or ""

    def whole() -> str:
        return desk.add_file(CONTENT).id

    ways: list[Callable[[], str]] = [whole, in_parts, in_parts, whole]
    file_ids = [way() for way in (ways if first_way == "whole" else ways[::-1])]
    assert desk.num_stored() == len(CONTENT)
    for file_id in file_ids:
        assert desk.content(file_id) == CONTENT
        with desk.database.unit_of_work(write=True) as uow:
            files.delete(uow, file_id, store=desk.store)
            uow.commit()
    assert desk.num_stored() == 0


def test_an_upload_that_nobody_completes_expires_with_its_parts(
    desk: Uploads, clock: FakeClock
) -> None:
    late, other = desk.create(), desk.create()
    part = desk.add(late, b"x" * 100)
    file_id = desk.complete(other, [desk.add(other, CONTENT).id]).file_id or ""
    assert desk.num_stored() == len(CONTENT) + 100
    clock.advance(DAY - 1)
    assert expiry.expire_uploads(desk.database, store=desk.store) == 0
    clock.advance(1)
    with pytest.raises(Conflict) as refused:  # also before anybody has swept
        desk.add(late, PIECES[1])
    assert refused.value.error_code == "upload_expired"
    assert expiry.expire_uploads(desk.database, store=desk.store) == 1
    assert desk.upload(late).status is UploadStatus.EXPIRED
    assert desk.upload(other).status is UploadStatus.COMPLETED
    with desk.database.unit_of_work() as uow:
        assert uow.upload_parts.find(part.id) is None
    assert desk.content(file_id) == CONTENT
    assert desk.num_stored() == len(CONTENT)


def test_a_file_goes_when_its_time_is_over_but_not_while_it_is_read(
    desk: Uploads, clock: FakeClock
) -> None:
    upload_id = desk.create(lifetime=3600)
    clock.advance(1000)
    desk.complete(upload_id, [desk.add(upload_id, CONTENT).id])
    read, kept = desk.add_file(b"read", lifetime=3600), desk.add_file(b"kept")
    with desk.database.unit_of_work(write=True) as uow:
        corpus = uow.corpora.add_with_files(Corpus(name="c", options={}), [read.id])
        uow.commit()
    clock.advance(3599)
    assert expiry.expire_files(desk.database, store=desk.store) == 0
    clock.advance(1)
    assert expiry.expire_files(desk.database, store=desk.store) == 1
    assert desk.num_stored() == len(b"readkept")
    with desk.database.unit_of_work(write=True) as uow:
        uow.corpora.get(corpus.id).status = ResourceStatus.READY
        uow.commit()
    assert expiry.expire_files(desk.database, store=desk.store) == 1
    assert desk.content(kept.id) == b"kept"
    assert desk.num_stored() == len(b"kept")


def test_a_pending_upload_claims_what_it_has_announced(
    database: Database, store: LocalStore
) -> None:
    desk = Uploads(database, store, quota=40_000)
    upload_id = desk.create(30_000)
    with pytest.raises(QuotaExceeded):
        desk.create(10_001)
    part = desk.add(upload_id, PIECES[0])
    desk.add_file(b"x" * 10_000)
    with pytest.raises(QuotaExceeded):
        desk.room.reserve(DEFAULT_PROJECT_ID, num_bytes=1, max_bytes=10)
    with desk.database.unit_of_work(write=True) as uow:
        uploads.cancel(uow, upload_id, store=store)
        uow.commit()
    assert part.num_bytes == 10_000
    desk.room.reserve(DEFAULT_PROJECT_ID, num_bytes=30_000, max_bytes=30_000).release()


def test_parts_beyond_the_announced_bytes_need_quota_and_have_an_end(
    database: Database, store: LocalStore
) -> None:
    desk = Uploads(database, store, quota=35_000)
    upload_id = desk.create(20_000)
    desk.add(upload_id, CONTENT[:20_000])
    desk.add(upload_id, CONTENT[20_000:], number=1)
    with pytest.raises(QuotaExceeded):
        desk.add(upload_id, b"x" * 5001)
    with desk.database.unit_of_work(write=True) as uow:
        uow.projects.get(DEFAULT_PROJECT_ID).storage_quota_bytes = 1_000_000
        uow.commit()
    with pytest.raises(TooLarge):
        desk.add(upload_id, b"x" * 10_001)
    desk.add(upload_id, b"x" * 10_000)
    assert desk.num_stored() == 40_000


def test_uploads_of_another_project_do_not_exist(desk: Uploads, other_project: str) -> None:
    upload_id = desk.create()
    part = desk.add(upload_id, PIECES[0], number=1)
    with desk.database.unit_of_work(other_project, write=True) as uow:
        for ask in (
            lambda: uow.uploads.get(upload_id),
            lambda: uow.upload_parts.get(part.id),
            lambda: uploads.assemble(uow, upload_id, [part.id]),
            lambda: uploads.cancel(uow, upload_id, store=desk.store),
        ):
            with pytest.raises(NotFound):
                ask()
        assert uow.uploads.page().items == []
        assert uow.upload_parts.of_upload(upload_id) == []
        assert uow.upload_parts.numbered(upload_id, 1) is None
        assert uow.upload_parts.totals(upload_id) == (0, 0)
        assert uow.upload_parts.delete_all(upload_id) == []
        assert uow.files.find_equal(part.sha256, num_bytes=part.num_bytes) is None
        assert uow.blobs.get_many([part.blob_id]) == {}
        assert uow.reservations.num_bytes_claimed() == 0
