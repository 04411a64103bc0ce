"""How fast files become records: megabytes of text a second for each format and compression.

    python benchmarks/reading.py [--megabytes 20] [--file book.txt]

Without a file it makes its own text: words drawn from a made-up language by Zipf's law.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import io
import lzma
import random
import tempfile
import time
import zipfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import orjson
import pyarrow as pa
import zstandard
from pyarrow import parquet

from core.corpus_options import CorpusOptions
from corpora.readers.children import Children
from corpora.readers.record import Record
from corpora.readers.source import SourceFile, read_records


def paragraphs(num_bytes: int) -> list[str]:
    """Paragraphs of a made-up language."""
    generator = random.Random(0)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "en", "or")]
    words = ["".join(generator.choices(syllables, k=generator.randint(1, 4))) for _ in range(30000)]
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    made: list[str] = []
    size = 0
    while size < num_bytes:
        chosen = generator.choices(words, cum_weights=weights, k=generator.randint(20, 200))
        made.append(" ".join(chosen) + ".")
        size += len(made[-1])
    return made


def as_csv(texts: list[str]) -> bytes:
    """A table of two columns."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["id", "text"])
    writer.writerows(enumerate(texts))
    return file.getvalue().encode()


def as_parquet(texts: list[str]) -> bytes:
    """A table of one column."""
    file = io.BytesIO()
    parquet.write_table(pa.table({"text": texts}), file, compression="zstd")
    return file.getvalue()


def as_page(texts: list[str]) -> bytes:
    """A web page around some paragraphs."""
    menu = "".join(f'<li><a href="/{i}">menu {i}</a></li>' for i in range(20))
    body = "".join(f"<p>{text}</p>\n" for text in texts)
    return (
        f"<!doctype html><html><head><title>t</title></head><body><nav><ul>{menu}</ul></nav>"
        f"<main><h1>Title</h1>{body}</main><footer>about</footer></body></html>"
    ).encode()


def as_warc(texts: list[str], *, per_page: int = 10) -> bytes:
    """Responses of ten paragraphs each."""
    parts = []
    for start in range(0, len(texts), per_page):
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + as_page(
            texts[start : start + per_page]
        )
        parts.append(
            b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\n"
            b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"
            % len(http)
            + http
            + b"\r\n\r\n"
        )
    return b"".join(parts)


def as_wet(texts: list[str]) -> bytes:
    """Conversions of one paragraph each."""
    return b"".join(
        b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\n"
        b"Content-Length: %d\r\n\r\n%s\r\n\r\n" % (len(text), text)
        for text in (text.encode() for text in texts)
    )


def as_zip(texts: list[str]) -> bytes:
    """A member for each paragraph."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, text in enumerate(texts):
            archive.writestr(f"texts/{number}.txt", text)
    return file.getvalue()


def measure(name: str, data: bytes, directory: Path) -> None:
    """Read ``data`` and print how fast its text came out."""
    path = directory / "stored"
    path.write_bytes(data)
    file = SourceFile(path, filename=name, sha256="0" * 64, id="file_1")
    with Children() as children:
        began = time.perf_counter()
        num_bytes = sum(
            len(record.text)
            for record in read_records(
                file, options=CorpusOptions(), notice=lambda _: None, children=children
            )
            if isinstance(record, Record)
        )
        seconds = time.perf_counter() - began
    print(f"{name:16} {num_bytes / 1e6:8.1f} MB of text {num_bytes / 1e6 / seconds:8.1f} MB/s")


def main() -> None:
    """Measure every format bare, and jsonl in every compression."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    texts = (
        arguments.file.read_text().split("\n\n")
        if arguments.file
        else paragraphs(arguments.megabytes * 10**6)
    )
    lines = b"".join(
        orjson.dumps({"text": text}, option=orjson.OPT_APPEND_NEWLINE) for text in texts
    )
    compressions: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".zst": zstandard.compress,
        ".xz": lambda data: lzma.compress(data, preset=1),
        ".bz2": bz2.compress,
    }
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        measure("a.txt", "\n\n".join(texts).encode(), directory)
        measure("a.jsonl", lines, directory)
        for ending, compress in compressions.items():
            measure(f"a.jsonl{ending}", compress(lines), directory)
        measure("a.csv", as_csv(texts), directory)
        measure("a.parquet", as_parquet(texts), directory)
        measure("a.zip", as_zip(texts), directory)
        measure("a.html", as_page(texts[:1000]), directory)
        measure("a.warc", as_warc(texts), directory)
        measure("a.wet", as_wet(texts), directory)


if __name__ == "__main__":
    main()
