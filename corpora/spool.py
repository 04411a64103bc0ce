"""What was read, on disk until it is known which of it is kept: texts, and a fact row for each.

Deduplication and the split must see every document before any can be written. The texts wait in one
compressed file; what is decided upon is small and of fixed width, so that it can be scanned in
chunks, and memory does not grow with the corpus.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import zstandard
from numpy.typing import NDArray

from corpora.documents import read_lines

FACTS_DTYPE: Final = np.dtype(
    [("high", "<u8"), ("low", "<u8"), ("num_bytes", "<u4"), ("sha256", "V32")]
)
"""Both halves of the fingerprint, the UTF-8 bytes, and the digest of the very text."""
CHUNK_ROWS: Final = 2**18

_ROW = struct.Struct("<QQI32s")
_ROWS_BUFFERED = 2**12
_FAST_LEVEL = 1

Facts = NDArray[np.void]


class Spool:
    """Documents in the order in which they were read, their ordinals."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.num_documents = 0
        self._texts_path = directory / "texts.jsonl.zst"
        self._facts_path = directory / "facts.bin"
        self._compressor = zstandard.ZstdCompressor(level=_FAST_LEVEL).compressobj()
        self._texts = self._texts_path.open("wb")
        self._facts = self._facts_path.open("wb", buffering=_ROW.size * _ROWS_BUFFERED)

    def add(
        self, text: str, *, fingerprint: tuple[int, int], file: str, place: str, record: int
    ) -> int:
        """Append a document; answers its UTF-8 bytes."""
        data = text.encode()
        high, low = fingerprint
        self._facts.write(_ROW.pack(high, low, len(data), hashlib.sha256(data).digest()))
        line = document_line(text, file=file, place=place, record=record)
        self._texts.write(self._compressor.compress(line))
        self.num_documents += 1
        return len(data)

    def finish(self) -> None:
        """Nothing more will be added; from now on it can be read."""
        self._texts.write(self._compressor.flush())
        self._texts.close()
        self._facts.close()

    def facts(self) -> Iterator[tuple[int, Facts]]:
        """Chunks of rows of ``FACTS_DTYPE``, each with the ordinal of its first."""
        for start in range(0, self.num_documents, CHUNK_ROWS):
            yield (
                start,
                np.fromfile(
                    self._facts_path,
                    dtype=FACTS_DTYPE,
                    count=CHUNK_ROWS,
                    offset=start * FACTS_DTYPE.itemsize,
                ),
            )

    def lines(self) -> Iterator[bytes]:
        """Each document as the line that a corpus stores."""
        with self._texts_path.open("rb") as file:
            yield from read_lines(file)


def document_line(text: str, *, file: str, place: str, record: int) -> bytes:
    """A document as it is stored: one line of JSON."""
    fields: dict[str, Any] = {"text": text, "file": file, "place": place, "record": record}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
