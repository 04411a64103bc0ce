"""A file of a corpus: where it is, what it is, and its records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from core.corpus_options import CorpusOptions
from corpora.readers.compression import DEFAULT_LIMITS, DecompressionLimits, read_bytes
from corpora.readers.decoding import SNIFFED_BYTES, as_utf8, is_text, with_head
from corpora.readers.jsonl import read_jsonl
from corpora.readers.plain import read_plain
from corpora.readers.record import BadBytes, Dropped, Notice, Record, excerpt

FileFormat = Literal["txt", "md", "jsonl"]

_COMPRESSED_ENDINGS = frozenset({".gz", ".zst"})
_FORMAT_BY_ENDING: dict[str, FileFormat] = {".txt": "txt", ".md": "md", ".jsonl": "jsonl"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """An uploaded file: its bytes, the name its user gave it, and what identifies it."""

    path: Path
    filename: str
    sha256: str
    id: str


def format_of(filename: str) -> FileFormat:
    """What a file's name says it is; plain text if it says nothing that is known."""
    endings = [ending.lower() for ending in PurePosixPath(filename).suffixes]
    while endings and endings[-1] in _COMPRESSED_ENDINGS:
        endings.pop()
    return _FORMAT_BY_ENDING.get(endings[-1], "txt") if endings else "txt"


def read_records(
    file: SourceFile,
    *,
    options: CorpusOptions,
    notice: Notice,
    limits: DecompressionLimits = DEFAULT_LIMITS,
    consumed: Callable[[int], None] = lambda _: None,
) -> Iterator[Record | Dropped]:
    """Stream a file's records; a file that is empty or no text at all is one dropped record.

    Args:
        file: the file.
        options: its format, if it is not to be guessed, and the field of jsonl texts.
        notice: told of every place with bad bytes.
        limits: what a compressed file may become.
        consumed: told how many bytes of the stored file were read, as they are.

    Raises:
        BadData: the file is compressed, and damaged, cut off or a bomb.
    """
    raw = read_bytes(file.path, filename=file.filename, limits=limits, consumed=consumed)
    # what a binary file's bytes mean as text is of no interest: held back until it is known as text
    held_back: list[BadBytes] = []
    is_known_as_text = False

    def notice_text(bad_bytes: BadBytes) -> None:
        if is_known_as_text:
            notice(bad_bytes)
        else:
            held_back.append(bad_bytes)

    head, pieces = with_head(as_utf8(raw, notice_text))
    sample = head[:SNIFFED_BYTES].decode(errors="replace")
    if not is_text(sample):
        yield Dropped("whole file", "not_text", excerpt(sample))
        return
    is_known_as_text = True
    for bad_bytes in held_back:
        notice(bad_bytes)

    file_format = format_of(file.filename) if options.format == "auto" else options.format
    num_records = 0
    records: Iterator[Record | Dropped]
    if file_format == "jsonl":
        records = read_jsonl(pieces, text_field=options.text_field, notice=notice)
    else:
        records = read_plain(pieces, notice=notice)
    for record in records:
        num_records += 1
        yield record
    if not num_records:
        yield Dropped("whole file", "empty", "")
