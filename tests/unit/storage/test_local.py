from __future__ import annotations

import errno
import os
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import Unavailable
from storage.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def leftovers(store: LocalStore) -> list[Path]:
    return list(store._staging.iterdir())


def test_a_writer_that_died_is_swept_and_a_young_one_is_not(store: LocalStore) -> None:
    writer = store.writer("files/a")
    writer.write(b"half")
    writer._file.close()  # as the end of its process does
    assert store.sweep(older_than=timedelta(hours=1)) == 0
    assert store.sweep(older_than=timedelta(0)) == 1
    assert leftovers(store) == []


def test_a_file_of_the_same_file_system_is_linked_not_copied(
    store: LocalStore, tmp_path: Path
) -> None:
    source = tmp_path / "source" / "a"
    source.parent.mkdir()
    source.write_bytes(b"abc")
    for _ in range(2):
        store.put_directory("corpora/c/", source.parent)
        assert source.samefile(store.materialise_file("corpora/c/a", cache=tmp_path))
    assert leftovers(store) == []


def test_what_is_deleted_during_a_listing_is_passed_over(store: LocalStore, tmp_path: Path) -> None:
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / "source" / name).parent.mkdir(parents=True)
        (tmp_path / "source" / name).write_bytes(b"abc")
    store.put_directory("corpora/", tmp_path / "source")
    listing = store.list("corpora/")
    assert next(listing).key == "corpora/a/1"
    store.delete_prefix("corpora/b/")
    assert [item.key for item in listing] == ["corpora/c/3"]


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a second file system")
def test_a_file_of_another_file_system_is_copied(store: LocalStore) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as source:
        Path(source, "a").write_bytes(b"abc")
        store.put_directory("corpora/c/", Path(source))
    assert b"".join(store.open("corpora/c/a")) == b"abc"


def test_bytes_are_synced_before_their_name_and_the_name_before_success(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        calls.append("fsync " + ("bytes" if path.is_file() else path.name))
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        calls.append(f"rename to {target.name}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    writer = store.writer("corpora/c/a")
    writer.write(b"x")
    writer.commit()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "b").write_bytes(b"y")
    store.put_directory("corpora/c/", tmp_path / "source")
    assert calls == [
        "fsync bytes",
        "fsync store",
        "fsync corpora",
        "rename to a",
        "fsync c",
        "fsync bytes",
        "rename to b",
        "fsync c",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_as_such_and_the_writer_can_be_aborted(store: LocalStore) -> None:
    writer = store.writer("files/a")
    writer._file.close()
    writer._file = Path("/dev/full").open("wb")  # noqa: SIM115 - the writer closes it
    with pytest.raises(Unavailable, match=os.strerror(errno.ENOSPC)) as caught:
        writer.write(b"x" * 1_000_000)
    assert caught.value.error_code == "disk_full"
    writer.abort()
    assert leftovers(store) == []


def test_a_root_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        LocalStore(tmp_path / "file" / "store").check()


def test_the_free_room_is_that_of_the_file_system(store: LocalStore) -> None:
    assert 0 < store.free_bytes() < store.total_bytes()
