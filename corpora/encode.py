"""A corpus to a dataset: every document as token ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from corpora.dataset_writer import DatasetWriter
from corpora.documents import Document, iter_documents, read_manifest
from corpora.pieces import pieces
from corpora.progress import Progress, ProgressCallback
from corpora.shards import DatasetManifest
from corpora.split_names import SPLIT_NAMES
from corpora.tokenizer import load_tokenizer

BATCH_CHARACTERS: Final = 2**21
"""Text encoded at once: enough for every core, and about 100 MB of the library's own tables."""


def encode_corpus(
    corpus_directory: Path,
    *,
    tokenizer_json: bytes,
    directory: Path,
    progress: ProgressCallback,
) -> DatasetManifest:
    """Encode both splits of a corpus into a dataset directory, in the order of the documents.

    Raises:
        BadData: a file of the corpus is missing or damaged.
    """
    manifest = read_manifest(corpus_directory)
    num_bytes = max(1, sum(split.num_bytes for split in manifest.splits.values()))
    tokenizer = load_tokenizer(tokenizer_json)
    num_done = 0
    num_encoded = 0
    with DatasetWriter(
        directory, corpus_digest=manifest.digest, tokenizer_json=tokenizer_json
    ) as writer:
        for split in SPLIT_NAMES:
            for batch in _batches(iter_documents(corpus_directory, split)):
                texts = [document.text for document in batch]
                for text, ids in zip(texts, encode_texts(tokenizer, texts), strict=True):
                    length = len(text.encode())
                    writer.add(split, ids, length)
                    num_encoded += length
                num_done += len(batch)
                fraction = num_encoded / num_bytes
                progress(Progress("encoding", fraction, records=num_done, bytes=num_encoded))
        return writer.close()


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
