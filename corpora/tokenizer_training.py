"""Training a tokenizer on a corpus: words are counted once, then a vocabulary is learned from them.

All three algorithms work on bytes and begin with the same special tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, models

from core.errors import BadData, InvalidRequest
from core.sizing import default_vocab_size
from core.tokenizer_algorithms import TOKENIZER_ALGORITHMS, TokenizerAlgorithm
from corpora.byte_pairs import BytePairs, learn_byte_pairs
from corpora.documents import CorpusManifest, read_manifest
from corpora.fast_word_counts import FastWordCounter
from corpora.progress import Progress, ProgressCallback
from corpora.text_sample import sample_texts
from corpora.tokenizer import MAX_WORD_CHARACTERS, short_word_splitter, word_splitter
from corpora.tokenizer_file import serialise
from corpora.tokenizer_statistics import TokenizerStats, measure
from corpora.unigram import learn_pieces
from corpora.vocabulary import NUM_SPECIAL_TOKENS, SPECIAL_TOKENS, byte_alphabet
from corpora.word_counts import WordCounter

MAX_SAMPLE_BYTES: Final = 200_000_000
MAX_UNIQUE_BYTES: Final = 6_000_000
"""All different words together; a sample ends where it has more, as text without spaces may."""
WORTHWHILE_BYTES: Final = 20_000_000
"""Words of less are counted before a fast counter would be tried."""
VOCAB_SIZE_STEP: Final = 64
SMALLEST_VOCAB_SIZE: Final = NUM_SPECIAL_TOKENS + 256
"""The special tokens and every byte."""

_COUNTED = 0.5
_LEARNED = 0.9
_BYTES_PER_CHECK = 2**21

OnLearned = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class TrainedTokenizer:
    """A tokenizer as it is stored; ``vocab_size`` counts special tokens and bytes too."""

    json: bytes
    sha256: str
    algorithm: str
    vocab_size: int
    stats: TokenizerStats


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
    which every merge or piece was seen at least twice.

    Raises:
        InvalidRequest: an algorithm that is not known, or a vocabulary smaller than the bytes.
        BadData: the text does not give ``vocab_size`` tokens; the message names the largest.
    """
    known = _check_request(vocab_size, algorithm)
    manifest = read_manifest(corpus_directory)
    wanted = vocab_size or default_vocab_size(manifest.stats.num_bytes)
    sample = count_sample(corpus_directory, manifest, progress)

    def tell(fraction: float) -> None:
        done = _COUNTED + (_LEARNED - _COUNTED) * fraction
        progress(Progress("training the tokenizer", done, bytes=sample.num_bytes))

    tokenizer_json, reached = learn_tokenizer(
        sample.counts, algorithm=known, vocab_size=wanted, on_progress=tell
    )
    if vocab_size and reached < vocab_size:
        raise BadData(
            f"vocab_size {vocab_size} cannot be reached on this text; "
            f"the largest possible is {reached}",
            code="vocabulary_too_large",
            param="vocab_size",
        )
    progress(Progress("measuring", _LEARNED, bytes=sample.num_bytes))
    stats = measure(
        corpus_directory,
        tokenizer_json=tokenizer_json,
        vocab_size=reached,
        num_sample_bytes=sample.num_bytes,
        largest_vocab_size=reached if reached < wanted else None,
    )
    progress(Progress("measuring", 1.0, bytes=sample.num_bytes))
    return TrainedTokenizer(
        json=tokenizer_json,
        sha256=hashlib.sha256(tokenizer_json).hexdigest(),
        algorithm=known,
        vocab_size=reached,
        stats=stats,
    )


def _check_request(vocab_size: int | None, algorithm: str) -> TokenizerAlgorithm:
    if vocab_size is not None and vocab_size < SMALLEST_VOCAB_SIZE:
        raise InvalidRequest(
            f"vocab_size {vocab_size} is too small: {NUM_SPECIAL_TOKENS} special tokens and 256 "
            f"bytes make {SMALLEST_VOCAB_SIZE}",
            param="vocab_size",
        )
    for known in TOKENIZER_ALGORITHMS:
        if algorithm == known:
            return known
    raise InvalidRequest(
        f"algorithm {algorithm!r} is not available; known: {', '.join(TOKENIZER_ALGORITHMS)}",
        param="algorithm",
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """The words of the text to train on."""

    counts: Mapping[bytes, int]
    num_bytes: int


def count_sample(
    corpus_directory: Path, manifest: CorpusManifest, progress: ProgressCallback
) -> Sample:
    """Count the words of the training split, or of a sample of it."""
    expected = max(1, min(MAX_SAMPLE_BYTES, manifest.splits["train"].num_bytes))
    counter = FastWordCounter() if expected >= WORTHWHILE_BYTES else WordCounter()
    num_bytes = 0
    checked = 0
    for sampled in sample_texts(corpus_directory, "train", max_bytes=MAX_SAMPLE_BYTES):
        counter.add(sampled.text)
        num_bytes += len(sampled.text.encode())
        if num_bytes - checked >= _BYTES_PER_CHECK:
            checked = num_bytes
            share = _COUNTED * min(1.0, num_bytes / expected)
            progress(Progress("counting words", share, bytes=num_bytes))
            if counter.num_unique_bytes() > MAX_UNIQUE_BYTES:
                break
    return Sample(counter.counts(), num_bytes)


def learn_tokenizer(
    counts: Mapping[bytes, int],
    *,
    algorithm: TokenizerAlgorithm,
    vocab_size: int,
    on_progress: OnLearned = lambda _: None,
) -> tuple[bytes, int]:
    """Learn a vocabulary from word counts.

    Returns:
        The `tokenizer.json`, and the size that was reached: ``vocab_size``, or the largest multiple
        of 64 that the words give.
    """
    return _LEARNERS[algorithm](counts, vocab_size, on_progress)


def _learn_bpe(counts: Mapping[bytes, int], wanted: int, tell: OnLearned) -> tuple[bytes, int]:
    learned, reached = _byte_pairs(counts, wanted, tell)
    written = [_written(token) for token in learned.tokens]
    vocabulary = {_special_or(written, id_): id_ for id_ in range(reached)}
    # merges are in the order of the ids they make, but for those that make a known token again
    merges = [
        (written[left], written[right])
        for left, right in learned.merges
        if written[left] + written[right] in vocabulary
    ]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = word_splitter()
    return serialise(tokenizer), reached


def _learn_wordpiece(
    counts: Mapping[bytes, int], wanted: int, tell: OnLearned
) -> tuple[bytes, int]:
    """The vocabulary of byte pairs, applied by the longest match first.

    Every byte can begin and continue a word, so that nothing is unknown.
    """
    learned, reached = _byte_pairs(counts, wanted, tell)
    written = [_written(token) for token in learned.tokens]
    model = models.WordPiece(
        {_special_or(written, id_): id_ for id_ in range(reached)},
        unk_token="[UNK]",  # noqa: S106 - never used, and not in the vocabulary
        continuing_subword_prefix="",
        max_input_chars_per_word=4 * MAX_WORD_CHARACTERS,
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = short_word_splitter()
    return serialise(tokenizer), reached


def _learn_unigram(counts: Mapping[bytes, int], wanted: int, tell: OnLearned) -> tuple[bytes, int]:
    found = learn_pieces(counts, num_pieces=wanted - NUM_SPECIAL_TOKENS, on_progress=tell)
    reached = _rounded_down_unless(wanted, NUM_SPECIAL_TOKENS + len(found))
    if NUM_SPECIAL_TOKENS + len(found) > reached:
        found = learn_pieces(counts, num_pieces=reached - NUM_SPECIAL_TOKENS)
    specials = [(token, 0.0) for token in SPECIAL_TOKENS]
    tokenizer = Tokenizer(
        models.Unigram([*specials, *((_written(token), score) for token, score in found.items())])
    )
    tokenizer.pre_tokenizer = word_splitter()
    return serialise(tokenizer), reached


_LEARNERS: Final[
    Mapping[TokenizerAlgorithm, Callable[[Mapping[bytes, int], int, OnLearned], tuple[bytes, int]]]
] = {"bpe": _learn_bpe, "unigram": _learn_unigram, "wordpiece": _learn_wordpiece}


def _byte_pairs(counts: Mapping[bytes, int], wanted: int, tell: OnLearned) -> tuple[BytePairs, int]:
    """Byte pairs, and how many of their tokens to keep.

    Cutting what was learned gives what learning fewer would have given.
    """
    by_letter = sorted(byte_alphabet().items())
    learned = learn_byte_pairs(
        counts,
        first_tokens=(
            *(token.encode() for token in SPECIAL_TOKENS),
            *(bytes([byte]) for _, byte in by_letter),
        ),
        vocab_size=wanted,
        on_merges=lambda num_merges: tell(num_merges / wanted),
    )
    return learned, _rounded_down_unless(wanted, len(learned.tokens))


def _rounded_down_unless(wanted: int, found: int) -> int:
    """A size that was asked for is kept as it is; what the text gives is rounded."""
    return found if found == wanted else found // VOCAB_SIZE_STEP * VOCAB_SIZE_STEP


def _special_or(written: list[str], id_: int) -> str:
    return SPECIAL_TOKENS[id_] if id_ < NUM_SPECIAL_TOKENS else written[id_]


def _written(token: bytes) -> str:
    """A token as byte-level vocabularies write it."""
    return "".join(_LETTERS[byte] for byte in token)


_LETTERS: Final = {byte: letter for letter, byte in byte_alphabet().items()}
