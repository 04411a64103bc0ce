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

from core.errors import BadData
from corpora.documents import read_lines
from corpora.durable import HashedFile
from corpora.fingerprint import fingerprint_of_folded, fold
from corpora.minhash import NUM_HASHES, Signatures, signatures

TEXTS_NAME: Final = "texts.jsonl.zst"
FACTS_NAME: Final = "facts.bin"
SIGNATURES_NAME: Final = "signatures.bin"
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
SIGNATURES_AT_ONCE: Final = 2**15

_ROW = struct.Struct("<QQII8s32s")
_ROWS_BUFFERED = 2**12
_FOLDED_BYTES_BUFFERED = 2**20
_FAST_LEVEL = 1
_SIGNATURE_BYTES = NUM_HASHES * 2

Facts = NDArray[np.void]


class SpoolWriter:
    """Takes the documents of one piece, in the order in which they are read."""

    def __init__(self, directory: Path, *, with_signatures: bool = False) -> None:
        """``with_signatures`` for near deduplication: it makes them of the documents' shingles."""
        self.num_documents = 0
        self._compressor = zstandard.ZstdCompressor(level=_FAST_LEVEL).compressobj()
        self._texts = HashedFile(directory / TEXTS_NAME)
        self._facts = HashedFile(directory / FACTS_NAME)
        self._rows = bytearray()
        self._signatures = HashedFile(directory / SIGNATURES_NAME) if with_signatures else None
        self._folded: list[bytes] = []
        self._num_folded_bytes = 0

    def add(
        self,
        text: str,
        *,
        file: str,
        place: str,
        record: int,
        file_index: int = 0,
        language: str | None = None,
    ) -> int:
        """Append a document; answers its UTF-8 bytes."""
        data = text.encode()
        folded = fold(text)
        high, low = fingerprint_of_folded(folded)
        if self._signatures is not None:
            self._folded.append(folded)
            self._num_folded_bytes += len(folded)
            if self._num_folded_bytes >= _FOLDED_BYTES_BUFFERED:
                self._sign()
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
        self._sign()
        self.close()
        return self._files

    def close(self) -> None:
        """Let go of the files; finishing does the same once all is written."""
        for file in self._files:
            file.close()

    @property
    def _files(self) -> list[HashedFile]:
        files = [self._texts, self._facts]
        return files if self._signatures is None else [*files, self._signatures]

    def _sign(self) -> None:
        if self._signatures is not None:
            self._signatures.write(signatures(self._folded).astype("<u2").tobytes())
            self._folded.clear()
            self._num_folded_bytes = 0

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
        self._piece_ends = np.cumsum(self._num_documents)
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

    def signatures(self) -> Iterator[tuple[int, Signatures]]:
        """Chunks of the documents' signatures, each with the ordinal of its first."""
        ordinal = 0
        for piece, num_documents in zip(self._pieces, self._num_documents, strict=True):
            for start in range(0, num_documents, SIGNATURES_AT_ONCE):
                chunk = np.fromfile(
                    piece / SIGNATURES_NAME,
                    dtype="<u2",
                    count=SIGNATURES_AT_ONCE * NUM_HASHES,
                    offset=start * _SIGNATURE_BYTES,
                ).reshape(-1, NUM_HASHES)
                yield ordinal, chunk
                ordinal += len(chunk)

    def signatures_of(self, ordinals: NDArray[np.int64]) -> Signatures:
        """The signatures of these documents, uint16 [num_ordinals, NUM_HASHES]."""
        found = np.empty((len(ordinals), NUM_HASHES), dtype=np.uint16)
        piece_of = np.searchsorted(self._piece_ends, ordinals, side="right")
        for number in np.unique(piece_of).tolist():
            is_inside = piece_of == number
            # mapped anew each time: what was touched does not stay in memory
            table = np.memmap(self._pieces[number] / SIGNATURES_NAME, dtype="<u2", mode="r")
            num_before = int(self._piece_ends[number]) - self._num_documents[number]
            found[is_inside] = table.reshape(-1, NUM_HASHES)[ordinals[is_inside] - num_before]
        return found

    def lines(self) -> Iterator[bytes]:
        """Each document as the line that a corpus stores.

        Raises:
            BadData: the texts of a piece are damaged, or not as many as its facts.
        """
        for piece, num_documents in zip(self._pieces, self._num_documents, strict=True):
            path = piece / TEXTS_NAME
            num_lines = 0
            try:
                with path.open("rb") as file:
                    for line in read_lines(file):
                        num_lines += 1
                        yield line
            except zstandard.ZstdError as error:
                raise piece_damaged(path, f"cannot be decompressed: {error}") from error
            if num_lines != num_documents:
                raise piece_damaged(path, f"holds {num_lines} texts instead of {num_documents}")


def piece_damaged(path: Path, what: str) -> BadData:
    """A file of a piece is not as it was written."""
    return BadData(f"file {path} of a piece {what}", code="piece_damaged")


def document_line(text: str, *, file: str, place: str, record: int) -> bytes:
    """A document as it is stored: one line of JSON."""
    fields: dict[str, Any] = {"text": text, "file": file, "place": place, "record": record}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
