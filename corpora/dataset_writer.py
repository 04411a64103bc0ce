"""Writing a dataset: documents as token ids, streamed into the shards of their split."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from corpora.addressing import dataset_digest
from corpora.durable import HashedFile, sync_directory, write_durably
from corpora.shards import (
    MANIFEST_NAME,
    PARTS,
    TOKENIZER_NAME,
    DatasetManifest,
    Part,
    Shard,
    ShardFile,
    SplitManifest,
    TokenType,
)
from corpora.split_names import SPLIT_NAMES, SplitName
from corpora.vocabulary import END_OF_TEXT

TOKENS_PER_SHARD = 2**26
"""A shard is closed by the document that reaches this many tokens."""

_BUFFERED_TOKENS = 2**20


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
