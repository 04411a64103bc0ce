"""What was read, on disk until it is known which of it is kept: texts, and a fact row for each.

Deduplication and the split must see every document before any can be written. The texts wait in
compressed files; what is decided upon is small and of fixed width, so that it can be scanned in
chunks, and memory does not grow with the corpus. Each piece of a corpus has its own two files; what
was read of the whole corpus is the pieces, one after another.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import zstandard
from numpy.typing import NDArray

from corpora.documents import read_lines
from corpora.durable import HashedFile
from corpora.fingerprint import Fingerprint

TEXTS_NAME: Final = "texts.jsonl.zst"
FACTS_NAME: Final = "facts.bin"
FACTS_DTYPE: Final = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("num_bytes", "<u4"),
        ("file", "<u4"),
        ("language", "S8"),
        ("sha256", "V32"),
    ]
)
"""Both halves of the fingerprint, the UTF-8 bytes, the file's place in its piece, the language or
nothing, and the digest of the very text."""
CHUNK_ROWS: Final = 2**18

_ROW = struct.Struct("<QQII8s32s")
_ROWS_BUFFERED = 2**12
_FAST_LEVEL = 1

Facts = NDArray[np.void]


class SpoolWriter:
    """Takes the documents of one piece, in the order in which they are read."""

    def __init__(self, directory: Path) -> None:
        self.num_documents = 0
        self._compressor = zstandard.ZstdCompressor(level=_FAST_LEVEL).compressobj()
        self._texts = HashedFile(directory / TEXTS_NAME)
        self._facts = HashedFile(directory / FACTS_NAME)
        self._rows = bytearray()

    def add(
        self,
        text: str,
        *,
        fingerprint: Fingerprint,
        file: str,
        place: str,
        record: int,
        file_index: int = 0,
        language: str | None = None,
    ) -> int:
        """Append a document; answers its UTF-8 bytes."""
        data = text.encode()
        high, low = fingerprint
        digest = hashlib.sha256(data).digest()
        self._rows += _ROW.pack(high, low, len(data), file_index, (language or "").encode(), digest)
        if len(self._rows) >= _ROW.size * _ROWS_BUFFERED:
            self._flush_rows()
        line = document_line(text, file=file, place=place, record=record)
        if compressed := self._compressor.compress(line):
            self._texts.write(compressed)
        self.num_documents += 1
        return len(data)

    def finish(self) -> list[HashedFile]:
        """Write what is buffered, durably; answers the files."""
        self._texts.write(self._compressor.flush())
        self._flush_rows()
        self.abandon()
        return [self._texts, self._facts]

    def abandon(self) -> None:
        """Let go of the files; finishing does the same when all is written."""
        self._texts.close()
        self._facts.close()

    def _flush_rows(self) -> None:
        self._facts.write(bytes(self._rows))
        self._rows.clear()


class Spool:
    """The documents of pieces one after another; their places in it are their ordinals."""

    def __init__(self, pieces: Sequence[Path]) -> None:
        """``pieces`` are directories that a :class:`SpoolWriter` filled."""
        self._pieces = tuple(pieces)
        self._num_documents = [
            (piece / FACTS_NAME).stat().st_size // FACTS_DTYPE.itemsize for piece in pieces
        ]
        self.num_documents = sum(self._num_documents)

    def facts(self) -> Iterator[tuple[int, Facts]]:
        """Chunks of rows of ``FACTS_DTYPE``, each with the ordinal of its first."""
        for _, start, facts in self.facts_by_piece():
            yield start, facts

    def facts_by_piece(self) -> Iterator[tuple[int, int, Facts]]:
        """The same, each chunk with the number of its piece first: a chunk is of one alone."""
        ordinal = 0
        for number, (piece, num_documents) in enumerate(
            zip(self._pieces, self._num_documents, strict=True)
        ):
            for start in range(0, num_documents, CHUNK_ROWS):
                facts = np.fromfile(
                    piece / FACTS_NAME,
                    dtype=FACTS_DTYPE,
                    count=CHUNK_ROWS,
                    offset=start * FACTS_DTYPE.itemsize,
                )
                yield number, ordinal, facts
                ordinal += len(facts)

    def lines(self) -> Iterator[bytes]:
        """Each document as the line that a corpus stores."""
        for piece in self._pieces:
            with (piece / TEXTS_NAME).open("rb") as file:
                yield from read_lines(file)


def document_line(text: str, *, file: str, place: str, record: int) -> bytes:
    """A document as it is stored: one line of JSON."""
    fields: dict[str, Any] = {"text": text, "file": file, "place": place, "record": record}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
