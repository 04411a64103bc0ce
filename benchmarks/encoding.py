"""How fast text becomes token ids: the engine that a corpus gets, and `tokenizers` on all cores.

    python -m benchmarks.encoding FILE... [--megabytes 100] [--vocab-size 8192]

Both encode the same batches, and every id is compared. What choosing the engine costs (once a shard
of documents) is printed beside it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.texts import read_texts
from corpora.encode import BATCH_CHARACTERS
from corpora.encoders.base import Ids
from corpora.encoders.opening import open_encoder
from corpora.tokenizer import load_tokenizer
from corpora.tokenizer_training import learn_tokenizer
from corpora.word_counts import WordCounter

TRAINED_ON_DOCUMENTS = 2000


def main() -> None:
    """Print both speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--megabytes", type=float, default=100)
    parser.add_argument("--vocab-size", type=int, default=8192)
    options = parser.parse_args()
    texts = read_texts(options.files, megabytes=options.megabytes)
    batches = list(_batches(texts))
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    counter = WordCounter()
    for text in texts[:: max(1, len(texts) // TRAINED_ON_DOCUMENTS)]:
        counter.add(text)
    tokenizer_json, vocab_size = learn_tokenizer(
        counter.counts(), algorithm="bpe", vocab_size=options.vocab_size
    )
    print(f"{megabytes:.1f} MB in {len(texts)} documents, vocabulary {vocab_size}")

    tokenizer = load_tokenizer(tokenizer_json)

    def theirs(batch: list[str]) -> list[Ids]:
        encodings = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    their_ids, their_seconds = _timed(theirs, batches)
    started = time.perf_counter()
    encoder = open_encoder(tokenizer_json, texts)
    opening_seconds = time.perf_counter() - started
    our_ids, our_seconds = _timed(encoder.encode_batch, batches)
    num_tokens = sum(map(len, our_ids))
    for name, seconds in (("tokenizers", their_seconds), (encoder.engine, our_seconds)):
        print(
            f"{name:12} {megabytes / seconds:8.1f} MB/s {num_tokens / seconds / 1e6:7.2f} million "
            f"tokens/s {seconds:7.2f} s"
        )
    print(f"choosing     {opening_seconds:.2f} s for each shard of documents")
    print(f"ratio        {their_seconds / our_seconds:.1f}")
    same = all(
        np.array_equal(ours, theirs) for ours, theirs in zip(our_ids, their_ids, strict=True)
    )
    print(f"ids          {'equal' if same else 'DIFFERENT'}, {num_tokens} tokens")


def _timed(
    encode: Callable[[list[str]], list[Ids]], batches: list[list[str]]
) -> tuple[list[Ids], float]:
    started = time.perf_counter()
    encoded = [ids for batch in batches for ids in encode(batch)]
    return encoded, time.perf_counter() - started


def _batches(texts: list[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    num_characters = 0
    for text in texts:
        batch.append(text)
        num_characters += len(text)
        if num_characters >= BATCH_CHARACTERS:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch


if __name__ == "__main__":
    main()
