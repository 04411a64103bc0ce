"""Tokenizers: byte-level BPE (arXiv 1508.07909) trained on a corpus, and text to ids and back.

The words it splits text into are Qwen2's, exactly, so that every tool that knows that model reads
ours. No normaliser and no unknown token: any text comes back as it was.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xxhash
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from core.errors import BadData, InvalidRequest
from core.sizing import default_vocab_size
from corpora.documents import CorpusManifest, iter_documents, read_manifest
from corpora.pieces import pieces
from corpora.progress import Progress, ProgressCallback
from corpora.split_names import SplitName
from corpora.vocabulary import NUM_SPECIAL_TOKENS, SPECIAL_TOKENS

ALGORITHMS: Final = ("bpe",)
MAX_SAMPLE_BYTES: Final = 200_000_000
VOCAB_SIZE_STEP: Final = 64
SMALLEST_VOCAB_SIZE: Final = NUM_SPECIAL_TOKENS + 256
"""The special tokens and every byte."""

_SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # English contractions
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"  # a word, with the space before it
    r"|\p{N}"  # digits one by one
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"  # white space
)
_MIN_FREQUENCY = 2
"""A pair that occurs once is no pattern: merging it would learn the text by heart."""
_MAX_TOKEN_LENGTH = 128
_MEASURED_BYTES = 10_000_000
_TRAINING_SHARE = 0.9
_HASH_RANGE = 2**64
_BYTES_PER_PROGRESS = 2**20


@dataclass(frozen=True, slots=True)
class TokenizerStats:
    """How well a tokenizer fits its corpus."""

    bytes_per_token: float
    """UTF-8 bytes of held-out text for each token."""
    num_sample_bytes: int
    """The text that it was trained on."""
    largest_vocab_size: int | None
    """What the text would have given at most; None if it was not exhausted."""


@dataclass(frozen=True, slots=True)
class TrainedTokenizer:
    """A tokenizer as it is stored; ``vocab_size`` counts special tokens and bytes too."""

    json: bytes
    sha256: str
    algorithm: str
    vocab_size: int
    stats: TokenizerStats


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text's token ids, and what each of them says."""

    ids: list[int]
    pieces: list[str]


def load_tokenizer(tokenizer_json: bytes) -> Tokenizer:
    """A tokenizer for text of users: what looks like a special token is just characters.

    Otherwise a document that mentions `<|endoftext|>` would end there.
    """
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode_text(tokenizer: Tokenizer, text: str) -> Encoding:
    """Token ids of ``text``, none of them added, and the text that each stands for.

    A token that is only a part of a character shows as U+FFFD.
    """
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    return Encoding(ids=ids, pieces=[decode_tokens(tokenizer, [id_]) for id_ in ids])


def decode_tokens(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text of ``ids``, special tokens by their names.

    Raises:
        InvalidRequest: the tokenizer has no such id.
    """
    vocab_size = tokenizer.get_vocab_size(with_added_tokens=True)
    for index, id_ in enumerate(ids):
        if not 0 <= id_ < vocab_size:
            raise InvalidRequest(
                f"token {id_} does not exist: the vocabulary has {vocab_size}",
                code="unknown_token",
                param=f"tokens.{index}",
            )
    return tokenizer.decode(ids, skip_special_tokens=False)


def train_tokenizer(
    corpus_directory: Path,
    *,
    vocab_size: int | None,
    algorithm: str = "bpe",
    progress: ProgressCallback,
) -> TrainedTokenizer:
    """Train a tokenizer on a corpus's training split, or on a sample of at most 200 MB of it.

    The same corpus and ``vocab_size`` give the same bytes. Without a ``vocab_size`` it follows the
    size of the corpus, and is what the text gives if that is less: the largest multiple of 64 for
    which every merge was seen at least twice.

    Raises:
        InvalidRequest: an algorithm that is not known, or a vocabulary smaller than the bytes.
        BadData: the text does not give ``vocab_size`` tokens; the message names the largest.
    """
    _check_request(vocab_size, algorithm)
    manifest = read_manifest(corpus_directory)
    wanted = vocab_size or default_vocab_size(manifest.stats.num_bytes)
    sample = _Sample(corpus_directory, manifest, progress)
    tokenizer = _train_bpe(sample, wanted)
    reached = tokenizer.get_vocab_size(with_added_tokens=True)
    largest = reached // VOCAB_SIZE_STEP * VOCAB_SIZE_STEP if reached < wanted else None
    if vocab_size and largest is not None:
        raise BadData(
            f"vocab_size {vocab_size} cannot be reached on this text; "
            f"the largest possible is {largest}",
            code="vocabulary_too_large",
            param="tokenizer.vocab_size",
        )
    tokenizer_json = _serialise(tokenizer, vocab_size=largest or wanted)
    progress(Progress("measuring", _TRAINING_SHARE, bytes=sample.num_bytes))
    bytes_per_token = _bytes_per_token(corpus_directory, manifest, load_tokenizer(tokenizer_json))
    progress(Progress("measuring", 1.0, bytes=sample.num_bytes))
    return TrainedTokenizer(
        json=tokenizer_json,
        sha256=hashlib.sha256(tokenizer_json).hexdigest(),
        algorithm=algorithm,
        vocab_size=largest or wanted,
        stats=TokenizerStats(
            bytes_per_token=bytes_per_token,
            num_sample_bytes=sample.num_bytes,
            largest_vocab_size=largest,
        ),
    )


def _check_request(vocab_size: int | None, algorithm: str) -> None:
    if algorithm not in ALGORITHMS:
        raise InvalidRequest(
            f"algorithm {algorithm!r} is not available; known: {', '.join(ALGORITHMS)}",
            param="tokenizer.algorithm",
        )
    if vocab_size is not None and vocab_size < SMALLEST_VOCAB_SIZE:
        raise InvalidRequest(
            f"vocab_size {vocab_size} is too small: {NUM_SPECIAL_TOKENS} special tokens and 256 "
            f"bytes make {SMALLEST_VOCAB_SIZE}",
            param="tokenizer.vocab_size",
        )


class _Sample:
    """The text to train on: all of it, or documents chosen by their hash."""

    def __init__(
        self, corpus_directory: Path, manifest: CorpusManifest, progress: ProgressCallback
    ) -> None:
        self._corpus_directory = corpus_directory
        self._available = manifest.splits["train"].num_bytes
        self._threshold = math.floor(
            _HASH_RANGE * min(1.0, MAX_SAMPLE_BYTES / max(1, self._available))
        )
        self._progress = progress
        self.num_bytes = 0

    def __iter__(self) -> Iterator[list[str]]:
        told = 0
        for document in iter_documents(self._corpus_directory, "train"):
            data = document.text.encode()
            if xxhash.xxh3_64_intdigest(data) >= self._threshold:
                continue
            if self.num_bytes + len(data) > MAX_SAMPLE_BYTES:
                return
            self.num_bytes += len(data)
            yield list(pieces(document.text))
            if self.num_bytes - told >= _BYTES_PER_PROGRESS:
                told = self.num_bytes
                self._tell()

    def _tell(self) -> None:
        share = self.num_bytes / min(MAX_SAMPLE_BYTES, self._available)
        # merging comes after the last document and cannot tell how far it is
        fraction = _TRAINING_SHARE / 2 * min(1.0, share)
        self._progress(Progress("training the tokenizer", fraction, bytes=self.num_bytes))


def word_splitter() -> pre_tokenizers.PreTokenizer:
    """Cuts text into the words within which tokens are merged, as Qwen2 does; bytes as letters."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT_PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _train_bpe(sample: _Sample, vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = word_splitter()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=_MIN_FREQUENCY,
        max_token_length=_MAX_TOKEN_LENGTH,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(sample), trainer=trainer)
    return tokenizer


def _serialise(tokenizer: Tokenizer, *, vocab_size: int) -> bytes:
    """The tokenizer's JSON with the first ``vocab_size`` tokens.

    Merges are made in the order of their tokens' ids, so that cutting both gives what training for
    the smaller vocabulary would have given. Keys are written in the order of ids: the library's
    own order is not the same every time.
    """
    description: dict[str, Any] = json.loads(tokenizer.to_str())
    model = description["model"]
    by_id = sorted(model["vocab"].items(), key=lambda item: item[1])
    model["vocab"] = {token: id_ for token, id_ in by_id if id_ < vocab_size}
    model["merges"] = [
        [left, right] for left, right in model["merges"] if left + right in model["vocab"]
    ]
    return json.dumps(description, ensure_ascii=False, indent=1).encode()


def _bytes_per_token(
    corpus_directory: Path, manifest: CorpusManifest, tokenizer: Tokenizer
) -> float:
    """Measured on held-out text, or on training text where nothing is held out."""
    split: SplitName = "validation" if manifest.splits["validation"].num_bytes else "train"
    num_bytes = 0
    num_tokens = 0
    for document in iter_documents(corpus_directory, split):
        texts = list(pieces(document.text))
        encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        num_tokens += sum(len(encoding) for encoding in encodings)
        num_bytes += len(document.text.encode())
        if num_bytes >= _MEASURED_BYTES:
            break
    return round(num_bytes / max(1, num_tokens), 4)
