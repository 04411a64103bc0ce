"""Writing a dataset: documents as token ids, streamed into the shards of their split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from corpora.addressing import dataset_digest
from corpora.durable import sync_directory, write_durably
from corpora.shard_writer import ShardWriter, token_type
from corpora.shards import (
    MANIFEST_NAME,
    TOKENIZER_NAME,
    DatasetManifest,
    Shard,
    SplitManifest,
    TokenType,
)
from corpora.split_names import SPLIT_NAMES, SplitName

TOKENS_PER_SHARD = 2**26
"""A shard is closed by the document that reaches this many tokens."""


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
            self._manifest = finish_dataset(
                self._directory,
                splits=splits,
                corpus_digest=self._corpus_digest,
                tokenizer_json=self._tokenizer_json,
            )
        return self._manifest

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the dataset, or let go of its files if the block failed."""
        if kind is None:
            self.close()
        else:
            for writer in self._splits.values():
                writer.abandon()


def finish_dataset(
    directory: Path,
    *,
    splits: dict[SplitName, SplitManifest],
    corpus_digest: str,
    tokenizer_json: bytes,
) -> DatasetManifest:
    """Write the tokenizer and then, over shards that are there, the manifest."""
    tokenizer_sha256 = write_durably(directory / TOKENIZER_NAME, tokenizer_json)
    manifest = DatasetManifest(
        digest=dataset_digest(corpus_digest=corpus_digest, tokenizer_sha256=tokenizer_sha256),
        corpus_digest=corpus_digest,
        tokenizer_sha256=tokenizer_sha256,
        dtype=token_type(tokenizer_json),
        splits=splits,
    )
    # the other names must be on the disk before the file that vouches for them
    sync_directory(directory)
    write_durably(directory / MANIFEST_NAME, manifest.model_dump_json(indent=1).encode())
    sync_directory(directory)
    return manifest


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
        self._open: ShardWriter | None = None
        self._num_bytes = 0

    def add(self, token_ids: Sequence[int] | NDArray[np.integer], num_bytes: int) -> None:
        if self._open is None:
            name = f"{self._name}-{len(self._shards):05d}"
            self._open = ShardWriter(self._directory, name, self._dtype)
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
