"""Training on one GPU: speed, use of the peak, the start cold and warm, memory, and ``Trainer``.

    python -m benchmarks.gpu [--presets base medium large encoder-base] [--steps 10] [--peers DIR]

Each preset is trained twice by our engine with a directory of its own for compiled kernels: the
first start is cold, the second warm. Then ``transformers.Trainer`` trains the same on the same
card, in bf16, compiled. What one preset showed is printed and written to ``--results`` before the
next one begins; a preset that fails is told, and the others go on.

The environment of ``Trainer`` is made at its first use. Without a package index, name a Python that
has ``transformers`` and ``accelerate`` (``--trainer-python python3``), or leave ``Trainer`` out
(``--without-trainer``). Our side needs torch, numpy, safetensors, tokenizers and pydantic, run from
the repository's root; with ``pydantic pydantic-core annotated-types typing-inspection`` fetched
elsewhere by ``pip download --no-deps`` for that Python, a few MB are carried there.

Half an hour on an H100, in three calls of ten minutes at most, each preset's steps at the promised
speed, two starts of ours and one of ``Trainer`` counted:

    python -m benchmarks.gpu --steps 6 --presets base encoder-base     # 7 minutes
    python -m benchmarks.gpu --steps 4 --presets medium                # 5 minutes
    python -m benchmarks.gpu --steps 2 --presets large                 # 8 minutes

``--presets tiny`` tries the script on any machine, in a minute or two.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.sides.speed_case import SpeedCase
from benchmarks.training_speed import (
    NUM_WARMUP_STEPS,
    RESULTS,
    Seen,
    Side,
    SideFailed,
    keep_result,
    machine,
    prepare,
    python_of,
    run_side,
)
from core.presets import PRESETS, Preset
from core.sizing import num_parameters
from core.spec import ModelShape
from training.compiling import CACHE_VARIABLE
from training.execution import activation_bytes_per_token


@dataclass(frozen=True, slots=True)
class Goal:
    """A preset as it is measured, and what is promised of it on an H100 or H200."""

    preset: Preset
    vocab_size: int
    context_length: int
    batch_tokens: int
    tokens_per_second: float | None


GOALS: Final = {
    "tiny": Goal(PRESETS["decoder"]["tiny"], 4096, 64, 1024, None),
    "base": Goal(PRESETS["decoder"]["base"], 32768, 1024, 2**19, 620_000),
    "medium": Goal(PRESETS["decoder"]["medium"], 32768, 2048, 2**19, 195_000),
    "large": Goal(PRESETS["decoder"]["large"], 65536, 2048, 2**20, 65_000),
    "encoder-base": Goal(PRESETS["encoder"]["base"], 50368, 1024, 2**18, 450_000),
}
COLD_SECONDS: Final = 90.0
WARM_SECONDS: Final = 20.0
_BYTES_PER_PARAMETER: Final = 20
"""Weights, gradients and two moments in fp32, and a copy and its gradient in bf16."""


def main() -> None:
    """Train every preset and keep what was seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    large = [name for name in GOALS if name != "tiny"]
    parser.add_argument("--presets", nargs="+", choices=GOALS, default=large)
    parser.add_argument("--steps", type=int, default=10, help="that are counted")
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "pretrainer-peers")
    parser.add_argument("--trainer-python", help="that has transformers, in place of --peers")
    parser.add_argument("--without-trainer", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    python = None
    if not given.without_trainer:
        python = given.trainer_python or python_of("trainer", given.peers)
    failed = []
    for name in given.presets:
        try:
            found = _measure(name, GOALS[name], num_steps=given.steps, trainer_python=python)
        except SideFailed as error:
            print(f"{name}: {error}", flush=True)
            failed.append(name)
            found = {"error": str(error)}
        keep_result(
            {"machine": machine(), name: found}, name=f"gpu-{name}", directory=given.results
        )
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _measure(
    name: str, goal: Goal, *, num_steps: int, trainer_python: str | None
) -> dict[str, Any]:
    """Train one preset by both sides; prints each figure as it comes."""
    shape = goal.preset.shape(vocab_size=goal.vocab_size)
    shape = shape.model_copy(update={"context_length": goal.context_length})
    precision = "bf16" if torch.cuda.is_available() else "fp32"
    side = Side("ours", "ours", precision, compiled=torch.cuda.is_available())
    with tempfile.TemporaryDirectory() as directory:
        case = prepare(
            Path(directory),
            shape,
            batch_tokens=goal.batch_tokens,
            num_steps=num_steps + NUM_WARMUP_STEPS,
        )
        kernels = {CACHE_VARIABLE: str(Path(directory) / "kernels")}
        python = python_of("ours", Path(directory))
        cold, warm = (run_side(side, case, python=python, environment=kernels) for _ in range(2))
        found = _ours(name, goal, shape, cold=cold, warm=warm)
        if trainer_python is not None:
            found["trainer"] = _trainer(case, side, python=trainer_python, ours=warm)
    return found


def _ours(name: str, goal: Goal, shape: ModelShape, *, cold: Seen, warm: Seen) -> dict[str, Any]:
    execution = warm.answer["execution"]
    planned = _BYTES_PER_PARAMETER * num_parameters(shape) + (
        execution["micro_batch"] * shape.context_length * activation_bytes_per_token(shape)
    )
    found = {
        "tokens_per_second": warm.tokens_per_second,
        "promised": goal.tokens_per_second,
        "share_of_peak": warm.share_of_peak,
        "peak_flops": warm.answer["peak_flops"],
        "cold_seconds_to_first_step": cold.answer["seconds_to_first_step"],
        "warm_seconds_to_first_step": warm.answer["seconds_to_first_step"],
        "device_bytes": warm.answer["device_bytes"],
        "planned_bytes": planned,
        "execution": execution,
        "shape": shape.model_dump(),
    }
    promised = "" if goal.tokens_per_second is None else f" of {goal.tokens_per_second:,.0f}"
    used = (warm.answer["device_bytes"] or warm.answer["resident_bytes"]) / 2**30
    print(
        f"{name}: {warm.tokens_per_second:,.0f}{promised} tokens/s, "
        f"{warm.share_of_peak:.0%} of the peak measured; first step after "
        f"{found['cold_seconds_to_first_step']:.0f} s cold (promised {COLD_SECONDS:.0f}), "
        f"{found['warm_seconds_to_first_step']:.0f} s warm ({WARM_SECONDS:.0f}); "
        f"{used:.1f} GB, planned {planned / 2**30:.1f}\n  {json.dumps(execution)}",
        flush=True,
    )
    return found


def _trainer(case: SpeedCase, side: Side, *, python: str, ours: Seen) -> dict[str, Any]:
    """The same by ``Trainer``; what it cannot do is told and no reason to stop."""
    try:
        theirs = run_side(replace(side, name="trainer", engine="trainer"), case, python=python)
    except SideFailed as error:
        print(f"  {error}", flush=True)
        return {"error": str(error)}
    ratio = ours.tokens_per_second / theirs.tokens_per_second
    print(f"  Trainer {theirs.tokens_per_second:,.0f} tokens/s: ours is {ratio:.2f} times as fast")
    return {
        "tokens_per_second": theirs.tokens_per_second,
        "share_of_peak": theirs.share_of_peak,
        **theirs.answer,
    }


if __name__ == "__main__":
    main()
