"""What every store promises; the local store, memory and a bucket over HTTP pass the same tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import Conflict, InvalidRequest, NotFound, Unavailable
from storage.base import Store
from storage.open import open_store
from tests.servers import running_bucket

SOME_BYTES = bytes(range(256)) * 5000
"""More than one chunk of reading."""
PART = b"x" * (9 << 20)
"""More than one part of an upload."""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with running_bucket(tmp_path_factory.mktemp("bucket")) as settings:
        yield settings


@pytest.fixture(params=["local", "memory", pytest.param("bucket", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "local":
        return open_store(f"file://{tmp_path}/store")
    if request.param == "memory":
        return open_store("memory:///")
    return open_bucket(
        request.getfixturevalue("bucket"), monkeypatch, name=f"models/{tmp_path.name}"
    )


def open_bucket(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, name: str) -> Store:
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    return open_store(f"s3://{name}")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def put(store: Store, key: str, data: bytes) -> None:
    writer = store.writer(key)
    writer.write(data)
    writer.commit()


def read(store: Store, key: str, **bounds: int) -> bytes:
    return b"".join(store.open(key, **bounds))


def keys(store: Store, prefix: str = "") -> list[str]:
    return [stored.key for stored in store.list(prefix)]


def tree(directory: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = directory / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def test_bytes_written_in_pieces_are_read_back_with_their_digest(store: Store) -> None:
    writer = store.writer("files/a")
    for start in range(0, len(SOME_BYTES), 1000):
        writer.write(SOME_BYTES[start : start + 1000])
    assert writer.num_bytes == len(SOME_BYTES)
    stored = writer.commit()
    assert stored.key == "files/a"
    assert stored.num_bytes == len(SOME_BYTES) == store.size("files/a")
    assert stored.sha256 == hashlib.sha256(SOME_BYTES).hexdigest()
    assert read(store, "files/a") == SOME_BYTES


def test_an_empty_object_is_an_object(store: Store) -> None:
    assert store.writer("files/empty").commit().num_bytes == 0
    assert read(store, "files/empty") == b""
    assert store.size("files/empty") == 0


def test_an_upload_of_several_parts_is_whole(store: Store) -> None:
    writer = store.writer("files/large")
    writer.write(PART)
    writer.write(PART)
    assert writer.commit().sha256 == hashlib.sha256(PART * 2).hexdigest()
    assert store.size("files/large") == 2 * len(PART)


def test_nobody_sees_bytes_before_the_commit(store: Store) -> None:
    writer = store.writer("files/a")
    writer.write(PART)
    assert keys(store) == []
    with pytest.raises(NotFound):
        store.open("files/a")
    writer.commit()
    assert keys(store) == ["files/a"]


def test_an_aborted_upload_leaves_nothing_and_does_not_replace(store: Store) -> None:
    put(store, "files/kept", b"before")
    for key in ("files/kept", "files/new"):
        writer = store.writer(key)
        writer.write(PART)
        writer.abort()
        writer.abort()
    assert keys(store) == ["files/kept"]
    assert read(store, "files/kept") == b"before"


def test_abort_after_commit_changes_nothing(store: Store) -> None:
    writer = store.writer("files/a")
    writer.write(b"abc")
    writer.commit()
    writer.abort()
    assert read(store, "files/a") == b"abc"


def test_putting_again_replaces(store: Store, tmp_path: Path) -> None:
    put(store, "files/a", b"first")
    put(store, "files/a", b"second")
    assert read(store, "files/a") == b"second"
    store.put_directory("files/", tree(tmp_path / "source", a=b"third"))
    assert read(store, "files/a") == b"third"


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (1, None), (0, 1), (10, 20), (1_200_000, 10**9), (1_280_000, None), (9, 9)],
)
def test_a_range_is_what_a_slice_is(store: Store, start: int, end: int | None) -> None:
    put(store, "files/a", SOME_BYTES)
    assert b"".join(store.open("files/a", start=start, end=end)) == SOME_BYTES[start:end]


def test_a_missing_key_is_said_to_be_missing(store: Store, cache: Path) -> None:
    with pytest.raises(NotFound):
        store.open("files/none")
    with pytest.raises(NotFound):
        store.size("files/none")
    with pytest.raises(NotFound):
        store.materialise_file("files/none", cache=cache)
    with pytest.raises(NotFound):
        store.materialise("corpora/none/", cache=cache)


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".staging/x", "a/.b", "a\0b", "a\\b", "é"],
)
def test_a_key_that_is_no_plain_path_is_refused(store: Store, key: str) -> None:
    for attempt in (store.writer, store.open, store.size, store.delete):
        with pytest.raises(ValueError, match="is not a key"):
            attempt(key)


@pytest.mark.parametrize("prefix", ["", "a", "/", "../", "a/../"])
def test_nothing_is_deleted_under_a_prefix_that_is_none(store: Store, prefix: str) -> None:
    put(store, "a/b", b"x")
    with pytest.raises(ValueError, match="is not a"):
        store.delete_prefix(prefix)
    assert keys(store) == ["a/b"]


def test_a_directory_is_put_with_all_its_files(store: Store, tmp_path: Path, cache: Path) -> None:
    source = tree(tmp_path / "source", b=b"2", a__deep=b"1", manifest_dot_json=b"{}")
    stored = store.put_directory("corpora/c/", source, last="manifest.json")
    assert [item.key for item in stored] == [
        "corpora/c/a/deep",
        "corpora/c/b",
        "corpora/c/manifest.json",
    ]
    directory = store.materialise("corpora/c/", cache=cache)
    assert (directory / "a" / "deep").read_bytes() == b"1"
    assert (directory / "manifest.json").read_bytes() == b"{}"


def test_a_directory_without_its_last_file_is_not_put_at_all(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_directory("corpora/c/", tree(tmp_path / "source", a=b"1"), last="manifest.json")
    assert keys(store) == []


def test_a_second_writer_cannot_replace_the_manifest(store: Store, tmp_path: Path) -> None:
    first = tree(tmp_path / "first", manifest_dot_json=b"1")
    second = tree(tmp_path / "second", manifest_dot_json=b"2")
    store.put_directory("corpora/c/", first, last="manifest.json")
    with pytest.raises(Conflict):
        store.put_directory("corpora/c/", second, last="manifest.json")
    assert read(store, "corpora/c/manifest.json") == b"1"


def test_putting_the_same_directory_again_is_no_conflict(store: Store, tmp_path: Path) -> None:
    source = tree(tmp_path / "source", a=b"1", manifest_dot_json=b"{}")
    once = store.put_directory("corpora/c/", source, last="manifest.json")
    assert store.put_directory("corpora/c/", source, last="manifest.json") == once


def test_the_stored_bytes_outlive_the_file_they_came_from(store: Store, tmp_path: Path) -> None:
    source = tree(tmp_path / "source", a=SOME_BYTES)
    (stored,) = store.put_directory("files/", source)
    (source / "a").unlink()
    assert read(store, "files/a") == SOME_BYTES
    assert stored.sha256 == hashlib.sha256(SOME_BYTES).hexdigest()


def test_a_listing_is_ordered_and_stays_within_its_prefix(store: Store) -> None:
    for key in ("corpora/c2/x", "corpora/c/b", "corpora/c/a/z", "corpora/c/a.bin", "files/f"):
        put(store, key, b"12")
    assert keys(store, "corpora/c/") == ["corpora/c/a.bin", "corpora/c/a/z", "corpora/c/b"]
    assert [stored.num_bytes for stored in store.list("corpora/c2/")] == [2]
    assert keys(store, "nothing/") == []


def test_deleting_is_exact_and_may_be_done_twice(store: Store) -> None:
    for key in ("corpora/c/a", "corpora/c/b", "corpora/c2/a", "files/f"):
        put(store, key, b"x")
    for _ in range(2):
        store.delete_prefix("corpora/c/")
        store.delete("files/f")
    assert keys(store) == ["corpora/c2/a"]


def test_a_materialised_file_has_the_bytes(store: Store, cache: Path) -> None:
    put(store, "tokenizers/t/tokenizer.json", SOME_BYTES)
    for _ in range(2):
        path = store.materialise_file("tokenizers/t/tokenizer.json", cache=cache)
        assert path.read_bytes() == SOME_BYTES


def test_a_materialised_directory_is_brought_once(store: Store, cache: Path) -> None:
    put(store, "corpora/c/a/b", b"1")
    first = store.materialise("corpora/c/", cache=cache)
    assert store.materialise("corpora/c/", cache=cache) == first
    assert (first / "a" / "b").read_bytes() == b"1"
    assert list(cache.rglob("*")) == [] or not any((cache / ".staging").iterdir())


def test_a_store_that_can_be_used_says_so(store: Store) -> None:
    store.check()
    assert store.sweep(older_than=timedelta(0)) == 0
    assert keys(store) == []


@pytest.mark.slow
def test_a_bucket_that_does_not_exist_is_said_to_be_unavailable_in_one_line(
    bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = open_bucket(bucket, monkeypatch, name="missing")
    with pytest.raises(Unavailable, match=r"\A[^\n]*404[^\n]*\Z"):
        missing.check()


@pytest.mark.parametrize("url", ["ftp://x/y", "file://host/x", "file:relative", "nonsense"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        open_store(url)
