"""A dataset on disk and how it is read: token ids in memory-mapped shards, and a manifest.

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
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from core.errors import BadData
from core.frozen import Frozen
from corpora.addressing import DATASET_FORMAT
from corpora.split_names import SPLIT_NAMES, SplitName

MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"

TokenType = Literal["uint16", "uint32"]
Part = Literal["tokens", "ends", "lengths"]
PARTS: tuple[Part, ...] = get_args(Part)

_END_BYTES = 8
_LENGTH_BYTES = 4


class ShardFile(Frozen):
    """One file of a shard."""

    name: str = Field(pattern=r"^[a-z]+-\d{5}\.[a-z]+\.bin$")
    num_bytes: int = Field(ge=0)
    sha256: str


class Shard(Frozen):
    """About as many tokens of one split as a writer puts together: its files by what is in them."""

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
        index = bisect_right(self._token_starts, start) - 1
        if 0 < count <= self._token_starts[index + 1] - start:  # nearly always
            offset = start - self._token_starts[index]
            return self._tokens[index][offset : offset + count].astype(np.int64)
        tokens = np.empty(count, dtype=np.int64)
        filled = 0
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
