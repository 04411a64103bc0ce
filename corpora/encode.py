"""A corpus to a dataset: every document as token ids, one token shard for each document shard.

Shards are encoded apart from each other, in any order and by anyone: the same corpus and tokenizer
give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from pydantic import Field
from tokenizers import Tokenizer

from core.frozen import Frozen
from corpora.dataset_writer import finish_dataset
from corpora.documents import CorpusManifest, Document, iter_shard, read_manifest
from corpora.encoders.base import Encoder
from corpora.encoders.opening import open_encoder
from corpora.pieces import pieces
from corpora.progress import Progress, ProgressCallback, part_of
from corpora.shard_writer import ShardWriter, token_type
from corpora.shards import DatasetManifest, Shard, SplitManifest
from corpora.split_names import SPLIT_NAMES, SplitName

BATCH_CHARACTERS: Final = 2**21
"""Text encoded at once: enough for every core, and about 100 MB of the library's own tables."""

_DOCUMENTS_ENDING = ".jsonl.zst"


class TokenShardManifest(Frozen):
    """A token shard, and what it was made from."""

    split: SplitName
    shard: Shard
    num_bytes: int = Field(ge=0)
    """The UTF-8 of its documents."""
    corpus_digest: str
    tokenizer_sha256: str
    engine: str
    """The library that encoded it; the ids do not depend on it."""


def encode_shard(
    corpus_directory: Path,
    shard: str,
    *,
    tokenizer_json: bytes,
    directory: Path,
    progress: ProgressCallback,
    encoder: Encoder | None = None,
) -> TokenShardManifest:
    """Encode one shard of documents into the files of one token shard.

    Args:
        corpus_directory: the corpus; of its shards only this one has to be there.
        shard: the name of the shard in the corpus's manifest.
        tokenizer_json: the tokenizer.
        directory: where the files go; made if it is missing.
        progress: told how far it is.
        encoder: what :func:`open_shard_encoder` gave for another shard of the same corpus; trying
            engines takes as long as encoding tens of megabytes.

    Raises:
        BadData: a file of the corpus is missing or damaged.
    """
    manifest = read_manifest(corpus_directory)
    split = _split_of(manifest, shard)
    encoder = encoder or open_shard_encoder(corpus_directory, shard, tokenizer_json=tokenizer_json)
    directory.mkdir(parents=True, exist_ok=True)
    name = shard.removesuffix(_DOCUMENTS_ENDING)
    with ShardWriter(directory, name, token_type(tokenizer_json)) as writer:
        documents = iter_shard(corpus_directory, split, shard)
        stored = next(one for one in manifest.splits[split].shards if one.name == shard)
        num_encoded = 0
        for batch in _batches(documents):
            _encode_batch(encoder, batch, writer)
            num_encoded += len(batch)
            fraction = num_encoded / max(1, stored.num_documents)
            progress(Progress("encoding", fraction, records=num_encoded, bytes=writer.num_bytes))
        return TokenShardManifest(
            split=split,
            shard=writer.close(),
            num_bytes=writer.num_bytes,
            corpus_digest=manifest.digest,
            tokenizer_sha256=hashlib.sha256(tokenizer_json).hexdigest(),
            engine=encoder.engine,
        )


def open_shard_encoder(corpus_directory: Path, shard: str, *, tokenizer_json: bytes) -> Encoder:
    """The fastest engine that gives the right ids on the texts of this shard.

    Raises:
        BadData: a file of the corpus is missing or damaged.
    """
    split = _split_of(read_manifest(corpus_directory), shard)
    documents = iter_shard(corpus_directory, split, shard)
    return open_encoder(tokenizer_json, (document.text for document in documents))


def join_dataset(
    corpus_directory: Path,
    parts: Sequence[TokenShardManifest],
    *,
    tokenizer_json: bytes,
    directory: Path,
) -> DatasetManifest:
    """Put the token shards of a whole corpus together, manifest last.

    Args:
        corpus_directory: the corpus; only its manifest is read.
        parts: one for each of its shards, in any order.
        tokenizer_json: the tokenizer that encoded them.
        directory: where the shards' files are or will be; the tokenizer and the manifest go there.

    Raises:
        ValueError: the parts are not those of this corpus and tokenizer, or not all of them.
    """
    manifest = read_manifest(corpus_directory)
    tokenizer_sha256 = hashlib.sha256(tokenizer_json).hexdigest()
    by_name = {part.shard.name: part for part in parts}
    if any(
        (part.corpus_digest, part.tokenizer_sha256) != (manifest.digest, tokenizer_sha256)
        for part in parts
    ):
        raise ValueError("a token shard is of another corpus or tokenizer")
    expected = [name for split in SPLIT_NAMES for name in _shard_names(manifest, split)]
    if sorted(by_name) != sorted(expected):
        raise ValueError(f"there are token shards {sorted(by_name)}, expected were {expected}")
    directory.mkdir(parents=True, exist_ok=True)
    return finish_dataset(
        directory,
        splits={
            split: _joined([by_name[name] for name in _shard_names(manifest, split)])
            for split in SPLIT_NAMES
        },
        corpus_digest=manifest.digest,
        tokenizer_json=tokenizer_json,
    )


def encode_corpus(
    corpus_directory: Path,
    *,
    tokenizer_json: bytes,
    directory: Path,
    progress: ProgressCallback,
) -> DatasetManifest:
    """Encode both splits of a corpus into a dataset directory, shard by shard.

    Raises:
        BadData: a file of the corpus is missing or damaged.
    """
    shards = [
        shard
        for split in SPLIT_NAMES
        for shard in read_manifest(corpus_directory).splits[split].shards
    ]
    num_bytes = max(1, sum(shard.num_bytes for shard in shards))
    largest = max(shards, key=lambda shard: shard.num_bytes)
    encoder = open_shard_encoder(corpus_directory, largest.name, tokenizer_json=tokenizer_json)
    parts: list[TokenShardManifest] = []
    done = 0
    for shard in shards:
        start, done = done, done + shard.num_bytes
        parts.append(
            encode_shard(
                corpus_directory,
                shard.name,
                tokenizer_json=tokenizer_json,
                directory=directory,
                progress=part_of(progress, start / num_bytes, done / num_bytes),
                encoder=encoder,
            )
        )
    return join_dataset(corpus_directory, parts, tokenizer_json=tokenizer_json, directory=directory)


def encode_texts(tokenizer: Tokenizer, texts: list[str]) -> Iterator[list[int]]:
    """The ids of each text, without any that a post-processor would add; long ones cut and joined.

    Several texts are encoded on all cores at once.
    """
    parts = [list(pieces(text)) for text in texts]
    encodings = iter(
        tokenizer.encode_batch_fast(list(chain.from_iterable(parts)), add_special_tokens=False)
    )
    for of_text in parts:
        yield list(chain.from_iterable(next(encodings).ids for _ in of_text))


def _split_of(manifest: CorpusManifest, shard: str) -> SplitName:
    for split in SPLIT_NAMES:
        if any(stored.name == shard for stored in manifest.splits[split].shards):
            return split
    raise ValueError(f"the corpus has no shard {shard!r}")


def _shard_names(manifest: CorpusManifest, split: SplitName) -> list[str]:
    return [shard.name.removesuffix(_DOCUMENTS_ENDING) for shard in manifest.splits[split].shards]


def _joined(parts: Sequence[TokenShardManifest]) -> SplitManifest:
    return SplitManifest(
        num_tokens=sum(part.shard.num_tokens for part in parts),
        num_documents=sum(part.shard.num_documents for part in parts),
        num_bytes=sum(part.num_bytes for part in parts),
        shards=tuple(part.shard for part in parts),
    )


def _encode_batch(encoder: Encoder, batch: Sequence[Document], writer: ShardWriter) -> None:
    texts = [document.text for document in batch]
    for text, ids in zip(texts, encoder.encode_batch(texts), strict=True):
        writer.add(ids, len(text.encode()))


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    num_characters = 0
    for document in documents:
        batch.append(document)
        num_characters += len(document.text)
        if num_characters >= BATCH_CHARACTERS:
            yield batch
            batch = []
            num_characters = 0
    if batch:
        yield batch
