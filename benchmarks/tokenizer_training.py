"""How fast byte-pair encoding is learned: ours, `tokenizers`, and `rustbpe` where it is installed.

    python -m benchmarks.tokenizer_training FILE... [--megabytes 100] [--vocab-size 8192]

All three split text as Qwen2 does and read the same documents. Our merges are compared with those
of `tokenizers`; `rustbpe` breaks ties in another way.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from benchmarks.texts import read_texts
from corpora.byte_pairs import MAX_TOKEN_BYTES, MIN_FREQUENCY
from corpora.fast_word_counts import FastWordCounter
from corpora.pieces import pieces
from corpora.tokenizer import SPLIT_PATTERN, word_splitter
from corpora.tokenizer_training import learn_tokenizer
from corpora.vocabulary import NUM_SPECIAL_TOKENS, SPECIAL_TOKENS

T = TypeVar("T")
Merges = list[list[str]]


def main() -> None:
    """Print all speeds, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--vocab-size", type=int, default=8192)
    options = parser.parse_args()
    texts = read_texts(options.files, megabytes=options.megabytes)
    vocab_size = options.vocab_size
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{megabytes:.1f} MB in {len(texts)} documents, vocabulary {vocab_size}")
    ours, our_seconds = _timed("ours", megabytes, lambda: _ours(texts, vocab_size))
    theirs, their_seconds = _timed("tokenizers", megabytes, lambda: _theirs(texts, vocab_size))
    print(f"ratio to tokenizers {their_seconds / our_seconds:.2f}")
    print(f"merges              {'identical' if ours == theirs else 'DIFFERENT'}, {len(ours)}")
    try:
        rustbpe = importlib.import_module("rustbpe")
    except ImportError:
        print("rustbpe is not installed")
        return

    def rust() -> None:
        rustbpe.Tokenizer().train_from_iterator(
            iter(texts), vocab_size - NUM_SPECIAL_TOKENS, pattern=SPLIT_PATTERN
        )

    _, rust_seconds = _timed("rustbpe", megabytes, rust)
    print(f"ratio to rustbpe    {rust_seconds / our_seconds:.2f}")


def _ours(texts: list[str], vocab_size: int) -> Merges:
    started = time.perf_counter()
    counter = FastWordCounter()
    for text in texts:
        for piece in pieces(text):
            counter.add(piece)
    counts = counter.counts()
    print(f"  counting {time.perf_counter() - started:.2f} s, {len(counts)} different words")
    tokenizer_json, _ = learn_tokenizer(counts, algorithm="bpe", vocab_size=vocab_size)
    merges: Merges = json.loads(tokenizer_json)["model"]["merges"]
    return merges


def _theirs(texts: list[str], vocab_size: int) -> Merges:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = word_splitter()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=MIN_FREQUENCY,
        max_token_length=MAX_TOKEN_BYTES + 1,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    merges: Merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return merges


def _timed(name: str, megabytes: float, train: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = train()
    seconds = time.perf_counter() - started
    print(f"{name:12} {megabytes / seconds:7.1f} MB/s {seconds:7.2f} s")
    return result, seconds


if __name__ == "__main__":
    main()
