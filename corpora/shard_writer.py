"""Writing one token shard: the three files of it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from corpora.durable import HashedFile
from corpora.shards import PARTS, Shard, ShardFile, TokenType
from corpora.vocabulary import END_OF_TEXT

_BUFFERED_TOKENS = 2**20


def token_type(tokenizer_json: bytes) -> TokenType:
    """The smallest type that holds every id of this tokenizer."""
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    return "uint16" if largest < 2**16 else "uint32"


class ShardWriter:
    """Streams documents into one shard; as a context manager it lets go of its files."""

    def __init__(self, directory: Path, name: str, dtype: TokenType) -> None:
        self.num_tokens = 0
        self.num_bytes = 0
        self._name = name
        self._little_endian = np.dtype(dtype).newbyteorder("<")
        self._end_of_text = np.full(1, END_OF_TEXT, dtype=self._little_endian)
        self._largest = np.iinfo(dtype).max
        self._files = {part: HashedFile(directory / f"{name}.{part}.bin") for part in PARTS}
        self._tokens: list[NDArray[Any]] = []
        self._num_buffered = 0
        self._ends = array("Q")
        self._lengths = array("I")
        self._num_documents = 0

    def add(self, token_ids: Sequence[int] | NDArray[np.integer], num_bytes: int) -> None:
        """Append one document, as ``corpora.dataset_writer.DatasetWriter.add`` says."""
        ids = np.asarray(token_ids, dtype=None if len(token_ids) else self._little_endian)
        if len(ids) and not 0 <= ids.min() <= ids.max() <= self._largest:
            raise ValueError("a token id does not fit the tokenizer's vocabulary")
        if (ids == END_OF_TEXT).any():
            raise ValueError("a document's own tokens must not hold <|endoftext|>")
        self._tokens += (self._end_of_text, ids.astype(self._little_endian))
        self._num_buffered += 1 + len(ids)
        self.num_tokens += 1 + len(ids)
        self.num_bytes += num_bytes
        self._ends.append(self.num_tokens)
        self._lengths.append(num_bytes)
        self._num_documents += 1
        if self._num_buffered >= _BUFFERED_TOKENS:
            self._flush()

    def close(self) -> Shard:
        """Write what is buffered, durably; answers what was written."""
        self._flush()
        self.abandon()
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
        """Let go of the files."""
        for file in self._files.values():
            file.close()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the files, whatever happened."""
        self.abandon()

    def _flush(self) -> None:
        if self._tokens:
            self._files["tokens"].write(np.concatenate(self._tokens).tobytes())
        self._files["ends"].write(np.asarray(self._ends).astype("<u8").tobytes())
        self._files["lengths"].write(np.asarray(self._lengths).astype("<u4").tobytes())
        self._tokens.clear()
        self._num_buffered = 0
        del self._ends[:]
        del self._lengths[:]
