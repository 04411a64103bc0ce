"""Every format in every container gives the same records, and every stored byte is counted."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from corpora.readers.record import Record
from tests.warcs import WarcFile

TEXTS = ["The first text, with a comma.", 'The "second"\n\ntext.', "Žluťoučký kůň 🐎."]
PAGES = [f"<!doctype html><title>t</title><body><main><p>{text}</p></main>" for text in TEXTS]
URIS = [f"http://example.org/{number}" for number in range(3)]
PROSE = "\n\n".join(TEXTS)


def as_jsonl() -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS)


def as_csv() -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([["id", "text", "more"], *([1, text, ""] for text in TEXTS)])
    return file.getvalue().encode()


def as_parquet() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"id": [1, 2, 3], "text": TEXTS}), file, row_group_size=2)
    return file.getvalue()


def as_warc(*, compressed: bool) -> bytes:
    file = WarcFile(compressed=compressed)
    file.info()
    for uri, page in zip(URIS, PAGES, strict=True):
        for kind in ("request", "response"):
            file.response(uri, page.encode(), kind=kind)
    return file.data


def as_wet() -> bytes:
    file = WarcFile()
    for uri, text in zip(URIS, TEXTS, strict=True):
        file.conversion(uri, text.encode())
    return file.data


LINES = [(f"line {n}", text) for n, text in enumerate(TEXTS, start=1)]
ROWS = [(f"row {n}", text) for n, text in enumerate(TEXTS, start=1)]
# resiliparse folds white space as browsers do
SEEN = [TEXTS[0], 'The "second" text.', TEXTS[2]]
FORMATS: dict[str, tuple[str, bytes, list[tuple[str, str]]]] = {
    "txt": ("a.txt", PROSE.encode(), [("", PROSE)]),
    "md": ("a.md", PROSE.encode(), [("", PROSE)]),
    "jsonl": ("a.jsonl", as_jsonl(), LINES),
    "csv": ("a.csv", as_csv(), ROWS),
    "parquet": ("a.dat", as_parquet(), ROWS),
    "html": ("a.htm", PAGES[2].encode(), [("", SEEN[2])]),
    "warc": (
        "a.warc",
        as_warc(compressed=False),
        [(f"record {2 * n + 3} <{URIS[n]}>", SEEN[n]) for n in range(3)],
    ),
    "warc by records": (
        "a.warc.gz",
        as_warc(compressed=True),
        [(f"record {2 * n + 3} <{URIS[n]}>", SEEN[n]) for n in range(3)],
    ),
    "wet": (
        "a.wet",
        as_wet(),
        [(f"record {n + 1} <{URIS[n]}>", TEXTS[n]) for n in range(3)],
    ),
}


def zipped(name: str, data: bytes, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("folder/", b"")
        archive.writestr(f"folder/{name}", data)
    return file.getvalue()


def tarred(name: str, data: bytes, *, form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        member = tarfile.TarInfo(f"folder/{name}")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


Container = Callable[[str, bytes], bytes]
CONTAINERS: dict[str, tuple[Container, str | None]] = {
    "bare": (lambda _, data: data, None),
    "gz": (lambda _, data: gzip.compress(data), None),
    "zst": (lambda _, data: zstandard.compress(data), None),
    "xz": (lambda _, data: lzma.compress(data), None),
    "bz2": (lambda _, data: bz2.compress(data), None),
    "zip": (zipped, "folder/{}"),
    "tar": (tarred, "folder/{}"),
    "tar.gz": (lambda n, d: gzip.compress(tarred(n, d)), "folder/{}"),
    "tar.zst": (lambda n, d: zstandard.compress(tarred(n, d)), "folder/{}"),
    "zip of gz": (lambda n, d: zipped(f"{n}.gz", gzip.compress(d)), "folder/{}.gz"),
    "zip of tar.xz": (
        lambda n, d: zipped("b.txz", lzma.compress(tarred(n, d))),
        "folder/b.txz/folder/{}",
    ),
    "tar of zip": (lambda n, d: tarred("b.zip", zipped(n, d)), "folder/b.zip/folder/{}"),
}


MORE_CONTAINERS: dict[str, tuple[Container, str | None]] = {
    "zip bzip2": (lambda n, d: zipped(n, d, method=zipfile.ZIP_BZIP2), "folder/{}"),
    "tar gnu": (lambda n, d: tarred(n, d, form=tarfile.GNU_FORMAT), "folder/{}"),
    "gz.xz": (lambda _, data: lzma.compress(gzip.compress(data)), None),
    "zip stored": (lambda n, d: zipped(n, d, method=zipfile.ZIP_STORED), "folder/{}"),
}
ALL_CONTAINERS = CONTAINERS | MORE_CONTAINERS


@pytest.mark.parametrize(
    ("kind", "container"),
    [*product(FORMATS, CONTAINERS), *product(["jsonl"], MORE_CONTAINERS)],
)
def test_a_format_reads_the_same_in_every_container(read: Any, kind: str, container: str) -> None:
    name, data, expected = FORMATS[kind]
    pack, member = ALL_CONTAINERS[container]
    stored = pack(name, data)
    # the container is told by its bytes alone
    reading = read(stored, name)
    label = "" if member is None else member.format(name)
    assert reading.records == [
        Record(" ".join(filter(None, [label, place])) or "whole file", text)
        for place, text in expected
    ]
    assert not reading.noticed
    assert reading.num_consumed == len(stored)


@pytest.mark.parametrize("kind", ["csv", "parquet", "html", "warc", "wet", "jsonl", "md"])
def test_a_given_format_needs_no_telling_name(read: Any, kind: Any) -> None:
    _, data, expected = FORMATS[kind]
    reading = read(data, "unnamed", file_format=kind)
    assert reading.texts == [text for _, text in expected]


def test_warc_and_wet_as_given_formats_read_their_own_records_alone(read: Any) -> None:
    both = as_warc(compressed=False) + as_wet()
    assert read(both, file_format="warc").texts == SEEN
    assert read(both, file_format="wet").texts == TEXTS
    assert read(both).texts == SEEN + TEXTS


def test_a_warc_file_without_texts_is_one_dropped_record(read: Any) -> None:
    assert read(as_wet(), file_format="warc").drops == [("whole file", "empty")]
