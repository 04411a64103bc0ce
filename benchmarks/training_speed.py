"""Tokens a second of training: ours, ``transformers.Trainer`` and ``litgpt``, in turn.

    python -m benchmarks.training_speed [--case decoder] [--rounds 3] [--steps 6] [--peers DIR]

The same architecture (Qwen3 or ModernBERT), size, text, batch and AdamW on all sides, each in a
process of its own, one after the other, round after round; steps without compiling, evaluation and
saving. bf16 where the processor has it, and fp32. Each peer runs from its package in a virtual
environment in ``--peers``, made at its first use. Prints medians and ratios, and writes what it saw
to ``benchmarks/results``.

``ours-fp32-compiled`` is no job's way (``training/execution.py``) and runs if it is named.
Five minutes on two cores: ``--case decoder --sides ours-fp32 trainer-fp32 --steps 4``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmarks.sides.speed_case import SpeedCase
from core.sizing import flops_per_token, num_parameters
from core.spec import ModelShape
from corpora.dataset_writer import DatasetWriter
from corpora.vocabulary import SPECIAL_TOKENS
from models.huggingface import model_config
from training.compiling import can_compile
from training.execution import cpu_has_bf16
from workers.children import engine_environment

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results"
TOKENS_PER_DOCUMENT: Final = 1000
NUM_WARMUP_STEPS: Final = 2
PEERS: Final[Mapping[str, Sequence[str]]] = {
    "trainer": ("transformers==5.23.0", "accelerate"),
    "litgpt": ("litgpt==0.5.13", "requests"),
}
MODULES: Final = {
    "ours": "benchmarks.sides.ours",
    "trainer": "benchmarks.sides.hugging_face",
    "litgpt": "benchmarks.sides.lit",
}
CASES: Final = {
    "decoder": ModelShape(
        architecture="decoder", layers=6, width=384, heads=3, kv_heads=3, ffn_width=1024,
        context_length=256, vocab_size=8192,
    ),
    "decoder-30M": ModelShape(
        architecture="decoder", layers=8, width=512, heads=4, kv_heads=4, ffn_width=1408,
        context_length=512, vocab_size=8192,
    ),
    "encoder": ModelShape(
        architecture="encoder", layers=6, width=384, heads=6, kv_heads=6, ffn_width=640,
        context_length=256, vocab_size=8192,
    ),
    "tiny": ModelShape(
        architecture="decoder", layers=2, width=64, heads=2, kv_heads=2, ffn_width=96,
        context_length=64, vocab_size=512,
    ),
}  # fmt: skip
BATCH_TOKENS: Final = 8192


@dataclass(frozen=True, slots=True)
class Side:
    """Somebody who trains, and how."""

    name: str
    engine: str
    precision: str = "fp32"
    compiled: bool = False
    only_if_named: bool = False


SIDES: Final = (
    Side("ours-bf16", "ours", "bf16", compiled=True),
    Side("ours-fp32", "ours"),
    Side("ours-fp32-compiled", "ours", compiled=True, only_if_named=True),
    Side("trainer-bf16", "trainer", "bf16"),
    Side("trainer-bf16-compiled", "trainer", "bf16", compiled=True),
    Side("trainer-fp32", "trainer"),
    Side("litgpt-bf16", "litgpt", "bf16", compiled=True),
    Side("litgpt-fp32", "litgpt", compiled=True),
)


class SideFailed(SystemExit):
    """A side's process ended badly: so does the benchmark, unless it goes on without that side."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one side did in one round."""

    tokens_per_second: float
    share_of_peak: float
    answer: Mapping[str, Any]


def main() -> None:
    """Train in turn, print a table and keep what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", choices=CASES, default="decoder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="that are counted, a side and round")
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "pretrainer-peers")
    parser.add_argument("--sides", nargs="+", choices=[side.name for side in SIDES])
    given = parser.parse_args()
    shape = CASES[given.case]
    sides = [
        side
        for side in SIDES
        if (side.name in given.sides if given.sides else _can_run(side, shape))
    ]
    seen: dict[str, list[Seen]] = {side.name: [] for side in sides}
    with tempfile.TemporaryDirectory() as name:
        case = prepare(
            Path(name),
            shape,
            batch_tokens=BATCH_TOKENS,
            num_steps=given.steps + NUM_WARMUP_STEPS,
        )
        pythons = {engine: python_of(engine, given.peers) for engine in {s.engine for s in sides}}
        for number in range(given.rounds):
            for side in sides:
                one = run_side(side, case, python=pythons[side.engine])
                seen[side.name].append(one)
                print(
                    f"round {number + 1}  {side.name:22} {one.tokens_per_second:9,.0f} tokens/s",
                    flush=True,
                )
    _print_table(seen, title=f"{given.case}: {num_parameters(shape) / 1e6:.1f}M parameters")
    _keep(seen, shape=shape, case=given.case)


def _can_run(side: Side, shape: ModelShape) -> bool:
    """Whether this machine can do it as it is meant, and the package has the architecture."""
    has_bf16 = torch.cuda.is_available() or cpu_has_bf16()
    return (
        not side.only_if_named
        and (side.precision == "fp32" or has_bf16)
        and (not side.compiled or can_compile())
        and (side.engine != "litgpt" or shape.architecture == "decoder")
    )


def prepare(directory: Path, shape: ModelShape, *, batch_tokens: int, num_steps: int) -> SpeedCase:
    """The same random tokens as token shards for us and as windows for the peers."""
    tokenizer = _tokenizer(shape.vocab_size)
    (directory / "tokenizer.json").write_text(tokenizer.to_str())
    num_documents = -(-num_steps * batch_tokens // TOKENS_PER_DOCUMENT) + 1
    ids = np.random.default_rng(0).integers(
        len(SPECIAL_TOKENS), shape.vocab_size, (num_documents, TOKENS_PER_DOCUMENT)
    )
    with DatasetWriter(
        directory / "dataset",
        corpus_digest="0" * 64,
        tokenizer_json=(directory / "tokenizer.json").read_bytes(),
    ) as writer:
        for document in ids:
            writer.add("train", document, TOKENS_PER_DOCUMENT)
        writer.add("validation", ids[0], TOKENS_PER_DOCUMENT)
    length = shape.context_length + 1
    windows = torch.from_numpy(ids).flatten()
    torch.save(
        windows[: len(windows) // length * length].view(-1, length), directory / "windows.pt"
    )
    special_ids = {name: id_ for id_, name in enumerate(SPECIAL_TOKENS)}
    return SpeedCase(
        directory=str(directory),
        shape=shape.model_dump(),
        config=model_config(shape, special_ids=special_ids),
        batch_tokens=batch_tokens,
        num_steps=num_steps,
        num_warmup_steps=NUM_WARMUP_STEPS,
        precision="fp32",
        compiled=False,
        threads=len(os.sched_getaffinity(0)),
    )


def _tokenizer(vocab_size: int) -> Tokenizer:
    """A byte-level tokenizer with just so many tokens; what they say does not matter here."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    generator = np.random.default_rng(0)
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
    words = (bytes(generator.choice(letters, 8)).decode() for _ in range(4 * vocab_size))
    tokenizer.train_from_iterator(words, trainer)
    assert tokenizer.get_vocab_size() == vocab_size
    return tokenizer


def python_of(engine: str, peers: Path) -> str:
    """The interpreter of a side; its environment is made if it is not there."""
    if engine == "ours":
        return sys.executable
    directory = peers / engine
    python = directory / "bin" / "python"
    if not (directory / "ready").exists():
        print(f"making {directory}")
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        wanted = [f"torch=={torch.__version__.partition('+')[0]}", "numpy", *PEERS[engine]]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        (directory / "ready").touch()
    return str(python)


def run_side(
    side: Side, case: SpeedCase, *, python: str, environment: Mapping[str, str] | None = None
) -> Seen:
    """Train once, in a process of its own, with these variables beside the present ones."""
    case = replace(case, precision=side.precision, compiled=side.compiled)
    directory = Path(case.directory)
    case.write(directory / "case.json")
    ours = engine_environment() if side.engine == "ours" else {}
    done = subprocess.run(
        [python, "-m", MODULES[side.engine], directory / "case.json", directory / "answer.json"],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **ours, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SideFailed(f"{side.name} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    answer = json.loads((directory / "answer.json").read_text())
    speed = case.batch_tokens / statistics.median(answer["step_seconds"])
    flops = flops_per_token(ModelShape(**case.shape)) * speed
    return Seen(speed, flops / answer["peak_flops"], answer)


def _print_table(seen: Mapping[str, Sequence[Seen]], *, title: str) -> None:
    """Medians over the rounds, and ours divided by each."""
    speeds = {
        name: statistics.median(one.tokens_per_second for one in rounds)
        for name, rounds in seen.items()
    }
    best = max((speed for name, speed in speeds.items() if name.startswith("ours")), default=None)
    print(f"\n{title}")
    print(f"{'side':22} {'tokens/s':>10} {'of the peak':>12} {'memory':>9} {'ours is':>9}")
    for name, rounds in seen.items():
        share = statistics.median(one.share_of_peak for one in rounds)
        memory = max(one.answer["resident_bytes"] for one in rounds) / 2**30
        ratio = "" if best is None else f"{best / speeds[name]:8.2f}x"
        print(f"{name:22} {speeds[name]:10,.0f} {share:12.0%} {memory:6.1f} GB {ratio}")


def _keep(seen: Mapping[str, Sequence[Seen]], *, shape: ModelShape, case: str) -> None:
    """Write everything that was seen, with the machine that it was seen on."""
    content = {
        "measured_at": int(time.time()),
        "machine": machine(),
        "shape": shape.model_dump(),
        "batch_tokens": BATCH_TOKENS,
        "rounds": {
            name: [
                {
                    "tokens_per_second": one.tokens_per_second,
                    "share_of_peak": one.share_of_peak,
                    **one.answer,
                }
                for one in rounds
            ]
            for name, rounds in seen.items()
        },
    }
    keep_result(content, name=case)


def keep_result(content: Mapping[str, Any], *, name: str, directory: Path = RESULTS) -> None:
    """Write ``<date>-<machine>-<name>.json``."""
    here = machine()
    slug = re.sub(r"[^a-z0-9]+", "-", str(here["gpu"] or here["processor"]).lower()).strip("-")
    path = directory / f"{datetime.now(UTC):%Y-%m-%d}-{slug}-{name}.json"
    directory.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nwritten to {path}", flush=True)


def machine() -> dict[str, Any]:
    """What was measured on."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """What the kernel calls it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    main()
