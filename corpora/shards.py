"""A dataset on disk: a corpus as token ids, in memory-mapped shards with a manifest.

::

    manifest.json            written last: sizes, counts and sha256 of everything else
    tokenizer.json           the tokenizer that made the ids
    train-00000.tokens.bin   little-endian uint16 or uint32: each document is `<|endoftext|>`
                             followed by its tokens
    train-00000.ends.bin     little-endian uint64: the offset in tokens after each document
    train-00000.lengths.bin  little-endian uint32: the UTF-8 bytes of each document

Equal documents and an equal tokenizer give equal bytes. A document never crosses two shards.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from tokenizers import Tokenizer

from core.errors import BadData
from core.spec import Frozen
from corpora.addressing import DATASET_FORMAT, dataset_digest
from corpora.durable import HashedFile, sync_directory, write_durably
from corpora.split_names import SPLIT_NAMES, SplitName
from corpora.vocabulary import END_OF_TEXT

MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"
TOKENS_PER_SHARD = 2**26
"""A shard is closed by the document that reaches this many tokens."""

TokenType = Literal["uint16", "uint32"]
Part = Literal["tokens", "ends", "lengths"]
PARTS: tuple[Part, ...] = get_args(Part)

_BUFFERED_TOKENS = 2**20
_END_BYTES = 8
_LENGTH_BYTES = 4


class ShardFile(Frozen):
    """One file of a shard."""

    name: str = Field(pattern=r"^[a-z]+-\d{5}\.[a-z]+\.bin$")
    num_bytes: int = Field(ge=0)
    sha256: str


class Shard(Frozen):
    """Up to about ``TOKENS_PER_SHARD`` tokens of one split: its files by what is in them."""

    name: str
    num_tokens: int = Field(ge=0)
    num_documents: int = Field(ge=0)
    files: dict[Part, ShardFile]


class SplitManifest(Frozen):
    """One split; ``num_tokens`` counts the `<|endoftext|>` of each document, ``num_bytes`` not."""

    num_tokens: int = Field(ge=0)
    num_documents: int = Field(ge=0)
    num_bytes: int = Field(ge=0)
    shards: tuple[Shard, ...]


class DatasetManifest(Frozen):
    """What a dataset holds and what it was made from."""

    format: Literal[1] = DATASET_FORMAT
    digest: str
    corpus_digest: str
    tokenizer_sha256: str
    dtype: TokenType
    splits: dict[SplitName, SplitManifest]


class DatasetWriter:
    """Streams documents into a dataset directory; whole once :meth:`close` has returned.

    As a context manager it closes its files but writes no manifest if the block fails.
    """

    def __init__(
        self,
        directory: Path,
        *,
        corpus_digest: str,
        tokenizer_json: bytes,
        tokens_per_shard: int = TOKENS_PER_SHARD,
    ) -> None:
        """``directory`` is made if it is missing and should otherwise be empty."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._corpus_digest = corpus_digest
        self._tokenizer_json = tokenizer_json
        self._dtype: TokenType = token_type(tokenizer_json)
        self._splits = {
            name: _SplitWriter(directory, name, self._dtype, tokens_per_shard)
            for name in SPLIT_NAMES
        }
        self._manifest: DatasetManifest | None = None

    def add(
        self, split: SplitName, token_ids: Sequence[int] | NDArray[np.integer], num_bytes: int
    ) -> None:
        """Append one document to ``split``.

        Args:
            split: ``"train"`` or ``"validation"``.
            token_ids: its tokens, without the `<|endoftext|>`, which the writer sets before them.
            num_bytes: the length of its text in UTF-8.

        Raises:
            ValueError: an id does not fit the tokenizer, or is `<|endoftext|>` itself.
        """
        self._splits[split].add(token_ids, num_bytes)

    def close(self) -> DatasetManifest:
        """Write what is buffered, then the manifest; calling it again changes nothing."""
        if self._manifest is None:
            splits = {name: writer.close() for name, writer in self._splits.items()}
            tokenizer_sha256 = write_durably(self._directory / TOKENIZER_NAME, self._tokenizer_json)
            self._manifest = DatasetManifest(
                digest=dataset_digest(
                    corpus_digest=self._corpus_digest, tokenizer_sha256=tokenizer_sha256
                ),
                corpus_digest=self._corpus_digest,
                tokenizer_sha256=tokenizer_sha256,
                dtype=self._dtype,
                splits=splits,
            )
            # the other names must be on the disk before the file that vouches for them
            sync_directory(self._directory)
            write_durably(
                self._directory / MANIFEST_NAME, self._manifest.model_dump_json(indent=1).encode()
            )
            sync_directory(self._directory)
        return self._manifest

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the dataset, or let go of its files if the block failed."""
        if kind is None:
            self.close()
        else:
            for writer in self._splits.values():
                writer.abandon()


def token_type(tokenizer_json: bytes) -> TokenType:
    """The smallest type that holds every id of this tokenizer."""
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    return "uint16" if largest < 2**16 else "uint32"


class _SplitWriter:
    """Cuts one split's documents into shards."""

    def __init__(
        self, directory: Path, name: SplitName, dtype: TokenType, tokens_per_shard: int
    ) -> None:
        self._directory = directory
        self._name = name
        self._dtype: TokenType = dtype
        self._tokens_per_shard = tokens_per_shard
        self._shards: list[Shard] = []
        self._open: _ShardWriter | None = None
        self._num_bytes = 0

    def add(self, token_ids: Sequence[int] | NDArray[np.integer], num_bytes: int) -> None:
        if self._open is None:
            name = f"{self._name}-{len(self._shards):05d}"
            self._open = _ShardWriter(self._directory, name, self._dtype)
        self._open.add(token_ids, num_bytes)
        self._num_bytes += num_bytes
        if self._open.num_tokens >= self._tokens_per_shard:
            self._finish_shard()

    def close(self) -> SplitManifest:
        self._finish_shard()
        return SplitManifest(
            num_tokens=sum(shard.num_tokens for shard in self._shards),
            num_documents=sum(shard.num_documents for shard in self._shards),
            num_bytes=self._num_bytes,
            shards=tuple(self._shards),
        )

    def abandon(self) -> None:
        if self._open is not None:
            self._open.abandon()

    def _finish_shard(self) -> None:
        if self._open is not None:
            self._shards.append(self._open.close())
            self._open = None


class _ShardWriter:
    """The three files of one shard."""

    def __init__(self, directory: Path, name: str, dtype: TokenType) -> None:
        self._name = name
        self._little_endian = np.dtype(dtype).newbyteorder("<")
        self._typecode = "H" if dtype == "uint16" else "I"
        self._files = {part: HashedFile(directory / f"{name}.{part}.bin") for part in PARTS}
        self._tokens = array(self._typecode)
        self._ends = array("Q")
        self._lengths = array("I")
        self._num_documents = 0
        self.num_tokens = 0

    def add(self, token_ids: Sequence[int] | NDArray[np.integer], num_bytes: int) -> None:
        try:
            document = array(self._typecode, token_ids)
        except OverflowError as error:
            raise ValueError("a token id does not fit the tokenizer's vocabulary") from error
        if (np.asarray(document) == END_OF_TEXT).any():
            raise ValueError("a document's own tokens must not hold <|endoftext|>")
        self._tokens.append(END_OF_TEXT)
        self._tokens.extend(document)
        self.num_tokens += 1 + len(document)
        self._ends.append(self.num_tokens)
        self._lengths.append(num_bytes)
        self._num_documents += 1
        if len(self._tokens) >= _BUFFERED_TOKENS:
            self._flush()

    def close(self) -> Shard:
        self._flush()
        for file in self._files.values():
            file.close()
        return Shard(
            name=self._name,
            num_tokens=self.num_tokens,
            num_documents=self._num_documents,
            files={
                part: ShardFile(name=file.path.name, num_bytes=file.num_bytes, sha256=file.sha256)
                for part, file in self._files.items()
            },
        )

    def abandon(self) -> None:
        for file in self._files.values():
            file.close()

    def _flush(self) -> None:
        self._write("tokens", self._tokens, self._little_endian)
        self._write("ends", self._ends, np.dtype("<u8"))
        self._write("lengths", self._lengths, np.dtype("<u4"))

    def _write(self, part: Part, values: array[int], dtype: np.dtype[np.unsignedinteger]) -> None:
        self._files[part].write(np.asarray(values).astype(dtype, copy=False).tobytes())
        del values[:]


@dataclass(frozen=True)
class TokenSplit:
    """Random access over the shards of one split, which are memory-mapped when first read."""

    directory: Path
    manifest: SplitManifest
    dtype: TokenType

    @property
    def num_tokens(self) -> int:
        """Tokens, the `<|endoftext|>` before each document included."""
        return self.manifest.num_tokens

    @property
    def num_documents(self) -> int:
        """Documents."""
        return self.manifest.num_documents

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of all documents."""
        return self.manifest.num_bytes

    def read(self, start: int, count: int) -> NDArray[np.int64]:
        """The ``count`` tokens from ``start`` on, as int64 [count]; crosses shard borders.

        Raises:
            IndexError: there are not that many.
        """
        if start < 0 or count < 0 or start + count > self.num_tokens:
            raise IndexError(
                f"tokens {start} to {start + count} were asked for, there are {self.num_tokens}"
            )
        tokens = np.empty(count, dtype=np.int64)
        filled = 0
        index = bisect_right(self._token_starts, start) - 1
        while filled < count:
            offset = start + filled - self._token_starts[index]
            piece = self._tokens[index][offset : offset + count - filled]
            tokens[filled : filled + len(piece)] = piece
            filled += len(piece)
            index += 1
        return tokens

    def document(self, index: int) -> NDArray[np.int64]:
        """The tokens of one document, its `<|endoftext|>` first.

        Raises:
            IndexError: there is no such document.
        """
        if not 0 <= index < self.num_documents:
            raise IndexError(f"document {index} was asked for, there are {self.num_documents}")
        shard = bisect_right(self._document_starts, index) - 1
        within = index - self._document_starts[shard]
        ends = self._map("ends", shard, "<u8")
        start = int(ends[within - 1]) if within else 0
        return self._tokens[shard][start : int(ends[within])].astype(np.int64)

    def document_lengths(self) -> NDArray[np.int64]:
        """The UTF-8 bytes of each document, int64 [num_documents]."""
        parts = [self._map("lengths", i, "<u4") for i in range(len(self.manifest.shards))]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)

    @cached_property
    def _token_starts(self) -> list[int]:
        return [0, *accumulate(shard.num_tokens for shard in self.manifest.shards)]

    @cached_property
    def _document_starts(self) -> list[int]:
        return [0, *accumulate(shard.num_documents for shard in self.manifest.shards)]

    @cached_property
    def _tokens(self) -> list[NDArray[np.unsignedinteger]]:
        little_endian = np.dtype(self.dtype).newbyteorder("<")
        return [self._map("tokens", i, little_endian) for i in range(len(self.manifest.shards))]

    def _map(
        self, part: Part, shard: int, dtype: np.dtype[np.unsignedinteger] | str
    ) -> NDArray[np.unsignedinteger]:
        path = self.directory / self.manifest.shards[shard].files[part].name
        # as a plain array: every slice of a memmap object costs microseconds more
        return np.memmap(path, dtype=dtype, mode="r").view(np.ndarray)


@dataclass(frozen=True)
class Dataset:
    """A dataset opened for reading."""

    directory: Path
    manifest: DatasetManifest
    tokenizer_json: bytes
    train: TokenSplit
    validation: TokenSplit


def open_dataset(directory: Path) -> Dataset:
    """Open a dataset directory after checking that its files are those of its manifest, by size.

    Raises:
        BadData: something is missing or damaged; the message names the file.
    """
    manifest = _read_manifest(directory / MANIFEST_NAME)
    tokenizer_json = _read_tokenizer(directory / TOKENIZER_NAME, manifest)
    for split in manifest.splits.values():
        for shard in split.shards:
            _check_shard(directory, shard, manifest.dtype)
    return Dataset(
        directory=directory,
        manifest=manifest,
        tokenizer_json=tokenizer_json,
        train=TokenSplit(directory, manifest.splits["train"], manifest.dtype),
        validation=TokenSplit(directory, manifest.splits["validation"], manifest.dtype),
    )


def _damaged(path: Path, what: str) -> BadData:
    return BadData(f"dataset file {path}: {what}", code="dataset_damaged")


def _read_manifest(path: Path) -> DatasetManifest:
    try:
        manifest = DatasetManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise _damaged(path, "is missing") from error
    except ValidationError as error:
        raise _damaged(path, "is no dataset manifest") from error
    if set(manifest.splits) != set(SPLIT_NAMES):
        raise _damaged(path, "does not name the splits train and validation")
    return manifest


def _read_tokenizer(path: Path, manifest: DatasetManifest) -> bytes:
    try:
        tokenizer_json = path.read_bytes()
    except FileNotFoundError as error:
        raise _damaged(path, "is missing") from error
    if hashlib.sha256(tokenizer_json).hexdigest() != manifest.tokenizer_sha256:
        raise _damaged(path, "is not the tokenizer that the manifest names")
    return tokenizer_json


def _check_shard(directory: Path, shard: Shard, dtype: TokenType) -> None:
    expected = {
        "tokens": shard.num_tokens * np.dtype(dtype).itemsize,
        "ends": shard.num_documents * _END_BYTES,
        "lengths": shard.num_documents * _LENGTH_BYTES,
    }
    for part in PARTS:
        file = shard.files.get(part)
        if file is None:
            raise _damaged(directory / MANIFEST_NAME, f"shard {shard.name} has no {part} file")
        path = directory / file.name
        try:
            num_bytes = path.stat().st_size
        except FileNotFoundError as error:
            raise _damaged(path, "is missing") from error
        if num_bytes != file.num_bytes or num_bytes != expected[part]:
            raise _damaged(path, f"has {num_bytes} bytes instead of {expected[part]}")
