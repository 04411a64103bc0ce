"""How long a checkpoint keeps training waiting: written by a thread, and written on the spot.

Run as ``python benchmarks/checkpoint_stall.py [--width 384] [--layers 6] [--steps 24]``. Both ways
train the same model in turn, for three rounds, on random tokens, and save to the current directory.
The step that a checkpoint is written beside is slower: what it takes beyond the median counts, too.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import training.build
from core.objectives import CausalObjective
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
)
from corpora.dataset_writer import DatasetWriter
from corpora.vocabulary import SPECIAL_TOKENS
from training.background_saver import BackgroundSaver
from training.ports import NeverStop, SilentReporter
from training.state import TrainingState

ROUNDS = 3
CONTEXT_LENGTH = 256


class WaitingSaver(BackgroundSaver):
    """Writes while everybody waits, as most trainers do."""

    def begin(self, state: TrainingState, *, beside: Mapping[str, Path]) -> None:
        """Return when the checkpoint is whole."""
        super().begin(state, beside=beside)
        assert self._pending is not None
        self._pending.exception()


class Times(SilentReporter):
    """Remembers what each step took, and what each save kept it waiting."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.steps: list[float] = []
        self.stalls: list[float] = []

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """Take the two that matter here."""
        del step, tokens
        if "throughput/step_seconds" in values:
            self.steps.append(values["throughput/step_seconds"])
        if "throughput/save_stall_seconds" in values:
            self.stalls.append(values["throughput/save_stall_seconds"])


def random_dataset(directory: Path, *, vocab_size: int) -> int:
    """A dataset of random bytes; answers the number of tokens of its tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [Path(__file__).read_text()],
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    writer = DatasetWriter(
        directory, corpus_digest="00" * 32, tokenizer_json=tokenizer.to_str().encode()
    )
    ids = np.random.default_rng(0).integers(64, 320, 500_000).tolist()
    writer.add("train", ids, len(ids))
    writer.close()
    return int(tokenizer.get_vocab_size())


def spec_of(given: argparse.Namespace, *, vocab_size: int) -> JobSpec:
    """A decoder without held-out text."""
    heads = max(1, given.width // 64)
    return JobSpec(
        corpus="corpus",
        tokenizer="tokenizer",
        model=ModelShape(
            architecture="decoder",
            layers=given.layers,
            width=given.width,
            heads=heads,
            kv_heads=heads,
            ffn_width=given.width * 8 // 3,
            context_length=CONTEXT_LENGTH,
            vocab_size=vocab_size,
        ),
        objective=CausalObjective(),
        budget=Budget(steps=given.steps),
        batch_tokens=given.tokens,
        optimizer=OptimizerSpec(name="adamw", learning_rate=0.002),
        evaluation=EvaluationSpec(every_steps=10**6),
        checkpoints=CheckpointSpec(every_steps=given.every),
    )


def measure(
    saver: type[BackgroundSaver], spec: JobSpec, dataset: Path
) -> tuple[float, float, float, int]:
    """Median step, wait and slower steps a save, in seconds, and bytes of a checkpoint."""
    times = Times()
    setattr(training.build, "BackgroundSaver", saver)  # noqa: B010 - all that differs
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as out:
        training.build.train(
            spec,
            datasets=[dataset],
            out=Path(out),
            resume=None,
            fence=1,
            reporter=times,
            stop=NeverStop(),
            provenance={},
        )
        last = max(Path(out).iterdir())
        num_bytes = sum(path.stat().st_size for path in last.rglob("*") if path.is_file())
    median = statistics.median(times.steps)
    num_saves = len(times.stalls)
    following = [times.steps[at] for at in range(spec.checkpoints.every_steps, len(times.steps),
                                                 spec.checkpoints.every_steps)]  # fmt: skip
    slower = sum(max(0.0, step - median) for step in following) / max(1, len(following))
    return median, sum(times.stalls) / max(1, num_saves), slower, num_bytes


def main() -> None:
    """Measure both, in turn."""
    parser = argparse.ArgumentParser(description="What a checkpoint costs a training job.")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--tokens", type=int, default=8192, help="of a step")
    parser.add_argument("--every", type=int, default=6, help="steps between checkpoints")
    given = parser.parse_args()
    ways: dict[str, type[BackgroundSaver]] = {
        "thread": BackgroundSaver,
        "on the spot": WaitingSaver,
    }
    with tempfile.TemporaryDirectory() as directory:
        vocab_size = random_dataset(Path(directory), vocab_size=1024)
        spec = spec_of(given, vocab_size=vocab_size)
        results = [
            {way: measure(saver, spec, Path(directory)) for way, saver in ways.items()}
            for _ in range(ROUNDS)
        ]
    print("way           MB    step s   wait s   slower s   share of the time")
    for way in ways:
        rows = [result[way] for result in results]
        step, wait, slower = (statistics.median(row[place] for row in rows) for place in range(3))
        share = (wait + slower) / (given.every * step)
        print(
            f"{way:12} {rows[0][3] / 1e6:5.0f} {step:9.3f} {wait:8.3f} {slower:10.3f}"
            f"   {share:.2%} with a save every {given.every} steps"
        )


if __name__ == "__main__":
    main()
