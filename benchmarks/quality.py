"""Quality for time: held-out bits per byte of our engine and of ``transformers.Trainer``.

    python -m benchmarks.quality [FILE...] [--minutes 1] [--seeds 1] [--peers DIR]

The same text, architecture (Qwen3), size, batch and seconds on both sides, each in a process of its
own. ``Trainer`` runs AdamW at the best of several rates, tried first for half the time; ours runs
with what its rules say, for the whole time and for parts of it, each a whole job with its schedule.
Where ours reaches what ``Trainer`` reached at the end gives the ratio of times. Seconds count from
the call that trains, compiling included; both models are measured by the same code. Without files
the text is Python's standard library. Writes what it saw to ``benchmarks/results``.

Six minutes on two cores: the defaults. As the project promises it: ``--minutes 5 --seeds 3``, and
``--minutes 10 --seeds 3``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer

from benchmarks.sides.quality_case import QualityCase
from benchmarks.texts import read_texts
from benchmarks.training_speed import keep_result, machine, python_of
from core.objectives import CausalObjective
from core.sizing import default_learning_rate, num_parameters
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
)
from corpora.dataset_writer import DatasetWriter
from corpora.shards import open_dataset
from corpora.tokenizer_training import learn_tokenizer
from corpora.vocabulary import SPECIAL_TOKENS, Vocabulary
from corpora.word_counts import WordCounter
from models.architectures import empty_model
from models.huggingface import model_config
from training.checkpoint import load_tensors
from training.compiling import can_compile
from training.evaluation import evaluate
from training.execution import cpu_has_bf16
from workers.children import engine_environment

ROOT: Final = Path(__file__).resolve().parent.parent
MEGABYTES: Final = 40.0
HELD_OUT_EVERY: Final = 20
PARTS: Final = (0.25, 0.4, 0.63, 1.0)
"""Of the time, for which our engine trains too."""
RATES: Final = (1e-3, 2e-3, 4e-3)
"""That Trainer's is chosen from."""
BATCH_TOKENS: Final = 4096
EVALUATION_TOKENS: Final = 32_768
SHAPE: Final = ModelShape(
    architecture="decoder", layers=6, width=256, heads=2, kv_heads=2, ffn_width=640,
    context_length=256, vocab_size=4096,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """What a side made of its time."""

    seconds: float
    bits_per_byte: float
    answer: Mapping[str, Any]


def main() -> None:
    """Tune, train, compare, and keep what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "pretrainer-peers")
    given = parser.parse_args()
    files = given.files or [Path(sysconfig.get_path("stdlib"))]
    with tempfile.TemporaryDirectory() as name:
        case = _prepare(Path(name), files, seconds=60 * given.minutes)
        trainer = python_of("trainer", given.peers)
        rate = _tuned_rate(case, python=trainer)
        seeds = [
            _compare(replace(case, seed=seed), rate=rate, python=trainer)
            for seed in range(given.seeds)
        ]
    _keep(seeds, case=case, rate=rate, minutes=given.minutes)
    ratios = [seed["time_ratio"] for seed in seeds if seed["time_ratio"] is not None]
    if ratios:
        print(f"\nTrainer needs {statistics.median(ratios):.2f} x the time (median of the seeds)")


def _prepare(directory: Path, files: Sequence[Path], *, seconds: float) -> QualityCase:
    """The text as token shards for us and as windows for the peer; one document in 20 held out."""
    texts = _readable(files)
    training = [text for number, text in enumerate(texts) if number % HELD_OUT_EVERY]
    counter = WordCounter()
    for text in training:
        counter.add(text)
    tokenizer_json, size = learn_tokenizer(
        counter.counts(), algorithm="bpe", vocab_size=SHAPE.vocab_size
    )
    shape = SHAPE.model_copy(update={"vocab_size": size})
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    stream: list[int] = []
    with DatasetWriter(
        directory / "dataset", corpus_digest="0" * 64, tokenizer_json=tokenizer_json
    ) as writer:
        for number, text in enumerate(texts):
            ids = tokenizer.encode(text).ids
            writer.add(
                "train" if number % HELD_OUT_EVERY else "validation", ids, len(text.encode())
            )
            if number % HELD_OUT_EVERY:
                stream += [SPECIAL_TOKENS.index("<|endoftext|>"), *ids]
    length = shape.context_length
    windows = torch.tensor(stream[: len(stream) // length * length]).view(-1, length)
    torch.save(windows, directory / "windows.pt")
    has_bf16 = torch.cuda.is_available() or cpu_has_bf16()
    print(
        f"{num_parameters(shape) / 1e6:.1f}M parameters, {len(stream) / 1e6:.1f}M tokens of text, "
        f"{'bf16, compiled' if has_bf16 and can_compile() else 'fp32, eager'}"
    )
    return QualityCase(
        directory=str(directory),
        out=str(directory / "out"),
        shape=shape.model_dump(),
        config=model_config(
            shape, special_ids={name: id_ for id_, name in enumerate(SPECIAL_TOKENS)}
        ),
        batch_tokens=BATCH_TOKENS,
        seconds=seconds,
        learning_rate=default_learning_rate(shape, "muon"),
        seed=0,
        precision="bf16" if has_bf16 else "fp32",
        compiled=has_bf16 and can_compile(),
        threads=len(os.sched_getaffinity(0)),
    )


def _readable(files: Sequence[Path]) -> list[str]:
    """The texts of the files; of a directory, those that are Python's or plain."""
    paths = [
        child
        for path in files
        for child in (sorted(path.rglob("*.py")) if path.is_dir() else [path])
        if "site-packages" not in child.parts
    ]
    return [text for text in read_texts(paths, megabytes=MEGABYTES) if text]


def _tuned_rate(case: QualityCase, *, python: str) -> float:
    """The rate at which Trainer learns most in half of the time."""
    tried = {}
    for rate in RATES:
        one = _trainer(replace(case, seconds=case.seconds / 2, learning_rate=rate), python=python)
        tried[rate] = one.bits_per_byte
        print(f"Trainer at {rate:g}: {one.bits_per_byte:.4f} bits per byte", flush=True)
    return min(tried, key=lambda rate: tried[rate])


def _compare(case: QualityCase, *, rate: float, python: str) -> dict[str, Any]:
    """Both sides with one seed."""
    trainer = _trainer(replace(case, learning_rate=rate), python=python)
    ours = [_ours(replace(case, seconds=part * case.seconds)) for part in PARTS]
    needed = seconds_to_reach(trainer.bits_per_byte, ours)
    print(f"\nseed {case.seed}        seconds   steps   bits per byte")
    for name, one in [("Trainer", trainer), *(("ours", one) for one in ours)]:
        steps = one.answer["num_steps"]
        print(f"{name:12} {one.seconds:9.1f} {steps:7} {one.bits_per_byte:15.4f}", flush=True)
    if needed is None:
        print("ours does not reach it")
    return {
        "seed": case.seed,
        "trainer": _as_json(trainer),
        "ours": [_as_json(one) for one in ours],
        "time_ratio": None if needed is None else trainer.seconds / needed,
    }


def seconds_to_reach(bits_per_byte: float, runs: Sequence[Trained]) -> float | None:
    """How long training takes to a quality, between the runs by the logarithm of the time.

    Args:
        bits_per_byte: The quality.
        runs: Whole jobs, the shortest first.

    Returns:
        At most the shortest one's seconds if even that is better; None if none is as good.
    """
    if runs[0].bits_per_byte <= bits_per_byte:
        return runs[0].seconds
    for before, after in pairwise(runs):
        if after.bits_per_byte <= bits_per_byte:
            gained = before.bits_per_byte - after.bits_per_byte
            part = (before.bits_per_byte - bits_per_byte) / gained
            return before.seconds * math.pow(after.seconds / before.seconds, part)
    return None


def _ours(case: QualityCase) -> Trained:
    return _run("benchmarks.sides.quality_ours", case, sys.executable, engine_environment())


def _trainer(case: QualityCase, *, python: str) -> Trained:
    return _run("benchmarks.sides.quality_trainer", case, python, {"HF_HUB_OFFLINE": "1"})


def _run(module: str, case: QualityCase, python: str, environment: Mapping[str, str]) -> Trained:
    """Train in a process of its own, and measure what it made."""
    with tempfile.TemporaryDirectory(dir=case.directory) as out:
        case = replace(case, out=out)
        given, answered = Path(out) / "case.json", Path(out) / "answer.json"
        case.write(given)
        done = subprocess.run(
            [python, "-m", module, given, answered],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{module} ended with {done.returncode}:\n{done.stderr[-4000:]}")
        answer = json.loads(answered.read_text())
        return Trained(answer["seconds"], _bits_per_byte(case), answer)


def _bits_per_byte(case: QualityCase) -> float:
    """Of the weights that a side has left, on the held-out text."""
    spec = JobSpec(
        corpus="corpus",
        tokenizer="tokenizer",
        model=ModelShape(**case.shape),
        objective=CausalObjective(),
        budget=Budget(steps=1),
        batch_tokens=case.batch_tokens,
        optimizer=OptimizerSpec(learning_rate=case.learning_rate),
        evaluation=EvaluationSpec(every_steps=1, max_tokens=EVALUATION_TOKENS),
        checkpoints=CheckpointSpec(every_steps=1),
    )
    dataset = open_dataset(Path(case.directory) / "dataset")
    model = empty_model(spec.model)
    model.load_state_dict(load_tensors(Path(case.out) / "model.safetensors"))
    values = evaluate(
        model,
        dataset=dataset,
        spec=spec,
        vocabulary=Vocabulary.from_tokenizer(Tokenizer.from_str(dataset.tokenizer_json.decode())),
        micro_batch=8,
        device=torch.device("cpu"),
    )
    return values["validation/bits_per_byte"]


def _as_json(one: Trained) -> dict[str, Any]:
    return {**one.answer, "seconds": one.seconds, "bits_per_byte": one.bits_per_byte}


def _keep(
    seeds: Sequence[Mapping[str, Any]], *, case: QualityCase, rate: float, minutes: float
) -> None:
    content = {
        "machine": machine(),
        "shape": case.shape,
        "batch_tokens": case.batch_tokens,
        "precision": case.precision,
        "minutes": minutes,
        "trainer_rate": rate,
        "our_rate": case.learning_rate,
        "seeds": seeds,
    }
    keep_result(content, name=f"quality-{minutes:g}min")


if __name__ == "__main__":
    main()
