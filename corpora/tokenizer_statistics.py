"""How well a tokenizer fits a corpus, over all and for each of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from corpora.documents import read_manifest
from corpora.encoders.base import Ids
from corpora.encoders.opening import open_encoder
from corpora.split_names import SplitName
from corpora.text_sample import sample_texts
from corpora.vocabulary import NUM_SPECIAL_TOKENS

MEASURED_BYTES: Final = 10_000_000
MAX_SOURCES: Final = 100
"""Those with the most text measured; what a tokenizer says of itself stays small."""

_WORD = re.compile(r"[^\W_]+")
_BATCH_TEXTS = 512


@dataclass(frozen=True, slots=True)
class SourceStats:
    """How a tokenizer does on one file of its corpus."""

    file: str
    num_bytes: int
    """UTF-8 bytes of the text that was measured."""
    bytes_per_token: float
    fertility: float
    """Tokens for each word: each run of letters or digits."""
    unused_share: float
    """The part of the vocabulary, special tokens aside, that does not occur in this text."""


@dataclass(frozen=True, slots=True)
class TokenizerStats:
    """How well a tokenizer fits a corpus, on held-out text."""

    bytes_per_token: float
    """UTF-8 bytes of held-out text for each token."""
    fertility: float
    unused_share: float
    num_measured_bytes: int
    num_sample_bytes: int | None
    """The text that it was trained on; None for an uploaded one."""
    largest_vocab_size: int | None
    """What the text would have given at most; None if it was not exhausted."""
    sources: tuple[SourceStats, ...]


def measure(
    corpus_directory: Path,
    *,
    tokenizer_json: bytes,
    vocab_size: int,
    num_sample_bytes: int | None = None,
    largest_vocab_size: int | None = None,
) -> TokenizerStats:
    """Encode at most 10 MB of held-out text, or of training text where nothing is held out.

    Of more text than that, a sample of all files.

    Args:
        corpus_directory: the corpus.
        tokenizer_json: the tokenizer.
        vocab_size: the number of its tokens.
        num_sample_bytes: the text that it was trained on, if it was trained here.
        largest_vocab_size: what that text would have given at most, if it was exhausted.
    """
    held_out = read_manifest(corpus_directory).splits["validation"].num_bytes
    split: SplitName = "validation" if held_out else "train"
    texts = list(sample_texts(corpus_directory, split, max_bytes=MEASURED_BYTES))
    encoder = open_encoder(tokenizer_json, (sampled.text for sampled in texts))
    every = _Tally(vocab_size)
    by_file: dict[str, _Tally] = {}
    for start in range(0, len(texts), _BATCH_TEXTS):
        batch = texts[start : start + _BATCH_TEXTS]
        encoded = encoder.encode_batch([sampled.text for sampled in batch])
        for sampled, ids in zip(batch, encoded, strict=True):
            every.add(sampled.text, ids)
            by_file.setdefault(sampled.file, _Tally(vocab_size)).add(sampled.text, ids)
    largest_first = sorted(by_file.items(), key=lambda item: (-item[1].num_bytes, item[0]))
    return TokenizerStats(
        bytes_per_token=every.bytes_per_token,
        fertility=every.fertility,
        unused_share=every.unused_share,
        num_measured_bytes=every.num_bytes,
        num_sample_bytes=num_sample_bytes,
        largest_vocab_size=largest_vocab_size,
        sources=tuple(tally.of_file(file) for file, tally in largest_first[:MAX_SOURCES]),
    )


class _Tally:
    """What is added up over texts."""

    def __init__(self, vocab_size: int) -> None:
        self.num_bytes = 0
        self.num_tokens = 0
        self.num_words = 0
        self.is_used = np.zeros(vocab_size, dtype=np.bool_)

    def add(self, text: str, ids: Ids) -> None:
        self.num_bytes += len(text.encode())
        self.num_tokens += len(ids)
        self.num_words += sum(1 for _ in _WORD.finditer(text))
        self.is_used[ids] = True

    @property
    def bytes_per_token(self) -> float:
        return round(self.num_bytes / max(1, self.num_tokens), 4)

    @property
    def fertility(self) -> float:
        return round(self.num_tokens / max(1, self.num_words), 4)

    @property
    def unused_share(self) -> float:
        return round(1 - float(self.is_used[NUM_SPECIAL_TOKENS:].mean()), 4)

    def of_file(self, file: str) -> SourceStats:
        return SourceStats(
            file=file,
            num_bytes=self.num_bytes,
            bytes_per_token=self.bytes_per_token,
            fertility=self.fertility,
            unused_share=self.unused_share,
        )
