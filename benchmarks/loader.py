"""Tokens a second that the loader makes, on one core, for every objective and some shapes.

    python -m benchmarks.loader

The text is random tokens in memory-mapped shards; the process has the allocator that a trainer has.
Of the time that passed, and of the processor's time, which other work beside does not make longer.
Writes what it saw to ``benchmarks/results``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmarks.training_speed import keep_result, machine
from core.objectives import (
    AnyObjective,
    CausalObjective,
    FillInTheMiddleObjective,
    MaskedObjective,
    MixedPart,
    MixObjective,
    SpanCorruptionObjective,
)
from core.spec import Budget
from corpora.dataset_writer import DatasetWriter
from corpora.shards import open_dataset
from corpora.vocabulary import SPECIAL_TOKENS, Vocabulary
from training.loader import Loader, Source
from workers.children import engine_environment

NUM_TOKENS = 8_000_000
TOKENS_PER_DOCUMENT = 1000
SECONDS = 2.0
SHAPES = ((256, 64), (512, 128), (1024, 256))
"""Context length and sequences a step."""

OBJECTIVES: dict[str, AnyObjective] = {
    "causal": CausalObjective(),
    "masked": MaskedObjective(),
    "masked 80-10-10": MaskedObjective(replacement="80-10-10"),
    "masked tokens": MaskedObjective(whole_words=False),
    "span corruption": SpanCorruptionObjective(),
    "fill in the middle": FillInTheMiddleObjective(),
    "mix of three": MixObjective(
        parts=(
            MixedPart(objective=CausalObjective()),
            MixedPart(objective=SpanCorruptionObjective()),
            MixedPart(objective=FillInTheMiddleObjective()),
        )
    ),
}


def byte_tokenizer() -> Tokenizer:
    """A byte-level tokenizer with some merges, trained on this file."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([Path(__file__).read_text()], trainer)
    return tokenizer


@dataclass(frozen=True, slots=True)
class Seen:
    """Millions of tokens a second."""

    passed: float
    """Of the time that passed."""
    worked: float
    """Of the processor's time, which is less where other work is done beside."""


def measure(loader: Loader) -> Seen:
    """Make batches for a while."""
    loader.batch(0)
    num_tokens, step = 0, 1
    started, worked_before = time.perf_counter(), time.thread_time()
    while (elapsed := time.perf_counter() - started) < SECONDS:
        num_tokens += loader.batch(step).num_tokens
        step += 1
    return Seen(num_tokens / elapsed / 1e6, num_tokens / (time.thread_time() - worked_before) / 1e6)


def main() -> None:
    """Measure and print a table."""
    missing = engine_environment().items() - os.environ.items()
    if missing:
        os.execve(
            sys.executable,
            [sys.executable, "-m", "benchmarks.loader"],
            {**os.environ, **dict(missing)},
        )
    tokenizer = byte_tokenizer()
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    generator = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with DatasetWriter(
            directory, corpus_digest="0" * 64, tokenizer_json=tokenizer.to_str().encode()
        ) as writer:
            for _ in range(NUM_TOKENS // TOKENS_PER_DOCUMENT):
                ids = generator.integers(len(SPECIAL_TOKENS), vocabulary.size, TOKENS_PER_DOCUMENT)
                writer.add("train", ids, TOKENS_PER_DOCUMENT)
        split = open_dataset(directory).train
        print(
            f"{'objective':18} {'context':>8} {'batch':>6} {'M tokens/s':>11} {'of CPU time':>12}"
        )
        for label, objective in OBJECTIVES.items():
            for context_length, sequences in SHAPES:
                seen = measure(
                    Loader(
                        [Source("random", 1.0, split)],
                        objective=objective,
                        vocabulary=vocabulary,
                        context_length=context_length,
                        sequences_per_step=sequences,
                        seed=0,
                        budget=Budget(steps=1),
                    )
                )
                print(
                    f"{label:18} {context_length:8} {sequences:6} "
                    f"{seen.passed:11.1f} {seen.worked:12.1f}",
                    flush=True,
                )
                rows.append(
                    {
                        "objective": label,
                        "context_length": context_length,
                        "sequences": sequences,
                        "million_tokens_per_second": seen.passed,
                        "million_tokens_per_cpu_second": seen.worked,
                    }
                )
    keep_result({"machine": machine(), "rows": rows}, name="loader")


if __name__ == "__main__":
    main()
