"""A share of a corpus's text that stands for all of it: the same share every time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import xxhash

from corpora.documents import iter_documents, read_manifest
from corpora.pieces import pieces
from corpora.split_names import SplitName

_HASH_RANGE: Final = 2**64


@dataclass(frozen=True, slots=True)
class SampledText:
    """A document, or a piece of a long one."""

    text: str
    file: str
    """The name of the file that it is from."""


def sample_texts(
    corpus_directory: Path, split: SplitName, *, max_bytes: int
) -> Iterator[SampledText]:
    """All texts of a split in their order; of more than ``max_bytes``, those with the least hashes.

    Long documents are sampled piece by piece: a few books may be all there is.

    Args:
        corpus_directory: the corpus.
        split: the split.
        max_bytes: how much UTF-8 there may be.

    Raises:
        BadData: a file of the corpus is missing or damaged.
    """
    available = max(1, read_manifest(corpus_directory).splits[split].num_bytes)
    threshold = math.floor(_HASH_RANGE * min(1.0, max_bytes / available))
    room = max_bytes
    for document in iter_documents(corpus_directory, split):
        for piece in pieces(document.text):
            data = piece.encode()
            if xxhash.xxh3_64_intdigest(data) >= threshold:
                continue
            room -= len(data)
            if room < 0:
                return
            yield SampledText(piece, document.file)
