"""Texts to measure on, from the files that a benchmark is given."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import zstandard


def read_texts(paths: Sequence[Path], *, megabytes: float) -> list[str]:
    """The texts of files, at most ``megabytes`` of UTF-8 in all; none is read twice.

    Args:
        paths: jsonl with a field ``text``, bare or in gz or zst, or plain text, a document a file;
            directories are searched for both.
        megabytes: where to stop.
    """
    texts: list[str] = []
    room = megabytes * 1e6
    for text in _texts(paths):
        room -= len(text.encode())
        if room < 0:
            break
        texts.append(text)
    return texts


def _texts(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        if path.is_dir():
            yield from _texts(sorted(child for child in path.rglob("*") if child.is_file()))
            continue
        data = _unpacked(path)
        if ".jsonl" in path.suffixes:
            for line in data.splitlines():
                text: str = json.loads(line)["text"]
                yield text
        else:
            yield data.decode(errors="ignore")


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    match path.suffix:
        case ".gz":
            return gzip.decompress(data)
        case ".zst":
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
        case _:
            return data
