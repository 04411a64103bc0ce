"""A corpus on disk: its manifest, and its documents as compressed lines of JSON.

::

    manifest.json                       written last
    report.json                         what became of every record
    documents/train-00000.jsonl.zst     {"text", "file", "place", "record"} a line
    documents/validation-00000.jsonl.zst
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import zstandard
from pydantic import Field, ValidationError

from core.corpus_options import CorpusOptions
from core.errors import BadData
from core.frozen import Frozen
from corpora.durable import HashedFile
from corpora.split_names import SplitName

FORMAT: Final = 1
MANIFEST_NAME = "manifest.json"
REPORT_NAME = "report.json"
DOCUMENTS_NAME = "documents"
BYTES_PER_SHARD = 2**26
"""A shard is closed by the document that reaches this many bytes, uncompressed: what one worker
encodes at a time."""

_LEVEL = 3
_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a corpus and where it came from; ``index`` counts within its split."""

    index: int
    text: str
    file: str
    place: str
    record: int


class DocumentShard(Frozen):
    """One file of documents; ``num_bytes`` is its own size, compressed."""

    name: str
    num_documents: int = Field(ge=0)
    num_bytes: int = Field(ge=0)
    sha256: str


class CorpusSplit(Frozen):
    """One split; ``num_bytes`` counts the UTF-8 of its texts."""

    num_documents: int = Field(ge=0)
    num_bytes: int = Field(ge=0)
    shards: tuple[DocumentShard, ...]


class CorpusStats(Frozen):
    """The sums: ``num_records = num_documents + num_duplicates + sum(dropped)``."""

    num_files: int = Field(description="Files that were read")
    num_records: int = Field(description="What their readers found: files, members, lines, rows")
    num_documents: int = Field(description="Records whose text was kept")
    num_bytes: int = Field(description="The documents' text in UTF-8")
    num_duplicates: int = Field(description="Records that repeat a document")
    dropped: dict[str, int] = Field(description="Records that gave no document, by reason")
    languages: dict[str, int] = Field(default={}, description="Documents by language")


class SplitRule(Frozen):
    """What decided on which side of the split a document is; extending a corpus takes it over."""

    threshold: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Clusters whose hash is below are held out; hexadecimal, since JSON numbers lose bits."""
    tails: dict[str, int] = Field(default={})
    """About how many bytes are held out of the end of these documents, by fingerprint."""
    num_documents: tuple[int, ...]
    """How many documents were read in all for each version, the corpus's own last."""


class CorpusManifest(Frozen):
    """What a corpus holds and how it was made."""

    format: Literal[1] = FORMAT
    digest: str
    """Of the options, and the texts of both splits in their order: of nothing else."""
    options: CorpusOptions
    stats: CorpusStats
    splits: dict[SplitName, CorpusSplit]
    split_rule: SplitRule
    report_sha256: str


class DocumentWriter:
    """Streams one split's document lines into shards."""

    def __init__(
        self, directory: Path, split: SplitName, *, bytes_per_shard: int = BYTES_PER_SHARD
    ) -> None:
        self._directory = directory
        self._split = split
        self._bytes_per_shard = bytes_per_shard
        self._shards: list[DocumentShard] = []
        self._open: _ShardWriter | None = None
        self._num_bytes = 0

    def write(self, line: bytes, *, num_bytes: int) -> None:
        """Append a document as ``corpora.spool.document_line`` makes it."""
        if self._open is None:
            name = f"{self._split}-{len(self._shards):05d}.jsonl.zst"
            self._open = _ShardWriter(self._directory / name)
        self._open.write(line)
        self._num_bytes += num_bytes
        if self._open.num_bytes >= self._bytes_per_shard:
            self._finish_shard()

    def close(self) -> CorpusSplit:
        """Finish the last shard."""
        self._finish_shard()
        return CorpusSplit(
            num_documents=sum(shard.num_documents for shard in self._shards),
            num_bytes=self._num_bytes,
            shards=tuple(self._shards),
        )

    def _finish_shard(self) -> None:
        if self._open is not None:
            self._shards.append(self._open.close())
            self._open = None


class _ShardWriter:
    def __init__(self, path: Path) -> None:
        self.num_bytes = 0
        self._num_documents = 0
        self._file = HashedFile(path)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()

    def write(self, line: bytes) -> None:
        if compressed := self._compressor.compress(line):
            self._file.write(compressed)
        self._num_documents += 1
        self.num_bytes += len(line)

    def close(self) -> DocumentShard:
        self._file.write(self._compressor.flush())
        self._file.close()
        return DocumentShard(
            name=self._file.path.name,
            num_documents=self._num_documents,
            num_bytes=self._file.num_bytes,
            sha256=self._file.sha256,
        )


def read_manifest(corpus_directory: Path) -> CorpusManifest:
    """The manifest of a corpus.

    Raises:
        BadData: there is none, or it is damaged.
    """
    path = corpus_directory / MANIFEST_NAME
    try:
        return CorpusManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise _damaged(path, "is missing") from error
    except ValidationError as error:
        raise _damaged(path, "is no corpus manifest") from error


def iter_documents(
    corpus_directory: Path, split: SplitName, *, after: int = 0
) -> Iterator[Document]:
    """The documents of a split in their order, without the first ``after``.

    Shards that lie before are not opened.

    Raises:
        BadData: a file of the corpus is missing or damaged.
    """
    index = 0
    for shard in read_manifest(corpus_directory).splits[split].shards:
        if index + shard.num_documents > after:
            lines = _read_shard(corpus_directory / DOCUMENTS_NAME / shard.name, shard)
            skipped = max(0, after - index)
            for number, line in enumerate(itertools.islice(lines, skipped, None), index + skipped):
                fields: dict[str, Any] = orjson.loads(line)
                yield Document(index=number, **fields)
        index += shard.num_documents


def iter_shard(corpus_directory: Path, split: SplitName, name: str) -> Iterator[Document]:
    """The documents of one shard in their order; ``index`` counts within the shard.

    Raises:
        BadData: the shard, or the manifest that names it, is missing or damaged.
    """
    shards = read_manifest(corpus_directory).splits[split].shards
    shard = next(shard for shard in shards if shard.name == name)
    lines = _read_shard(corpus_directory / DOCUMENTS_NAME / name, shard)
    for index, line in enumerate(lines):
        yield Document(index=index, **orjson.loads(line))


def _read_shard(path: Path, shard: DocumentShard) -> Iterator[bytes]:
    num_read = 0
    try:
        with path.open("rb") as file:
            for line in read_lines(file):
                num_read += 1
                yield line
    except FileNotFoundError as error:
        raise _damaged(path, "is missing") from error
    except zstandard.ZstdError as error:
        raise _damaged(path, f"cannot be decompressed: {error}") from error
    if num_read != shard.num_documents:
        raise _damaged(path, f"holds {num_read} documents instead of {shard.num_documents}")


def read_lines(file: io.BufferedReader) -> Iterator[bytes]:
    """The lines of a zstd file of our own."""
    reader = zstandard.ZstdDecompressor().stream_reader(file)
    with io.BufferedReader(reader, buffer_size=_READ_BYTES) as lines:
        yield from lines


def _damaged(path: Path, what: str) -> BadData:
    return BadData(f"corpus file {path}: {what}", code="corpus_damaged")
