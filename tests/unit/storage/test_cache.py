from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from storage.cache import UNUSED_FOR
from storage.object_store import ObjectStore

THINGS = ("corpora/a/", "corpora/b/", "corpora/c/")


@pytest.fixture
def bucket() -> MemoryStore:
    """Three corpora of ten bytes each."""
    bucket = MemoryStore()
    store = ObjectStore(bucket)
    for prefix in THINGS:
        for name in ("manifest.json", "documents/train"):
            writer = store.writer(prefix + name)
            writer.write(b"5" * 5)
            writer.commit()
    return bucket


def bring_all(store: ObjectStore, cache: Path) -> None:
    for prefix in THINGS:
        store.materialise(prefix, cache=cache)


def forget_use(cache: Path, *, seconds: float = UNUSED_FOR.total_seconds() + 60) -> None:
    """As if everything had been used so long ago, one thing after the other."""
    marks = sorted((cache / ".marks").iterdir(), key=lambda mark: mark.name)
    for number, mark in enumerate(marks):
        used_at = mark.stat().st_mtime - seconds + number
        os.utime(mark, (used_at, used_at))


def left(cache: Path) -> list[str]:
    return [prefix for prefix in THINGS if (cache / prefix).exists()]


def test_what_was_used_longest_ago_goes_first_and_no_more_than_must(
    bucket: MemoryStore, tmp_path: Path
) -> None:
    store = ObjectStore(bucket)
    bring_all(store, tmp_path)
    forget_use(tmp_path)
    assert store.trim(tmp_path, max_bytes=30) == 0
    assert store.trim(tmp_path, max_bytes=15) == 20
    assert left(tmp_path) == ["corpora/c/"]


def test_what_was_used_lately_stays_however_little_may(bucket: MemoryStore, tmp_path: Path) -> None:
    store = ObjectStore(bucket)
    bring_all(store, tmp_path)
    assert store.trim(tmp_path, max_bytes=0) == 0
    forget_use(tmp_path)
    store.materialise("corpora/a/", cache=tmp_path)
    assert store.trim(tmp_path, max_bytes=0) == 20
    assert left(tmp_path) == ["corpora/a/"]


def test_what_somebody_still_reads_stays(bucket: MemoryStore, tmp_path: Path) -> None:
    reader, other = ObjectStore(bucket, holds=True), ObjectStore(bucket)
    bring_all(other, tmp_path)
    reader.materialise("corpora/b/", cache=tmp_path)
    forget_use(tmp_path)
    assert other.trim(tmp_path, max_bytes=0) == 20
    assert left(tmp_path) == ["corpora/b/"]


def test_what_has_gone_is_brought_again(bucket: MemoryStore, tmp_path: Path) -> None:
    store = ObjectStore(bucket)
    bring_all(store, tmp_path)
    forget_use(tmp_path)
    store.trim(tmp_path, max_bytes=0)
    directory = store.materialise("corpora/a/", cache=tmp_path)
    assert (directory / "documents" / "train").read_bytes() == b"55555"


def test_what_a_killed_process_left_half_brought_or_half_removed_goes_in_time(
    bucket: MemoryStore, tmp_path: Path
) -> None:
    store = ObjectStore(bucket)
    killed, busy = (tmp_path / "parts" / ".staging" / name for name in ("killed", "busy"))
    for directory in (killed, busy):
        (directory / "documents").mkdir(parents=True)
        (directory / "documents" / "train").write_bytes(b"55")
    long_ago = time.time() - UNUSED_FOR.total_seconds() - 60
    for path in (killed / "documents" / "train", killed / "documents", killed, busy):
        os.utime(path, (long_ago, long_ago))
    store.trim(tmp_path, max_bytes=1000)
    assert not killed.exists()
    assert (busy / "documents" / "train").exists()


def test_removing_leaves_nothing_behind(bucket: MemoryStore, tmp_path: Path) -> None:
    store = ObjectStore(bucket)
    for _ in range(2):
        bring_all(store, tmp_path)
        forget_use(tmp_path)
        assert store.trim(tmp_path, max_bytes=0) == 30
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [
        mark.name for mark in (tmp_path / ".marks").iterdir()
    ]


def test_single_files_are_counted_and_removed_as_well(bucket: MemoryStore, tmp_path: Path) -> None:
    store = ObjectStore(bucket)
    path = store.materialise_file("corpora/a/manifest.json", cache=tmp_path / "parts")
    forget_use(tmp_path / "parts")
    assert store.trim(tmp_path, max_bytes=0) == 5
    assert not path.exists()
