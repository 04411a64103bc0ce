"""Our engine's side of the training benchmark: ``python -m benchmarks.sides.ours CASE ANSWER``."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.sides.speed_case import SpeedCase, answer_steps
from core.objectives import CausalObjective, MaskedObjective
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
)
from training.build import train
from training.execution import attention_kernel, decide_execution
from training.ports import NeverStop, Plan, SilentReporter

NEVER = 10**9


class StepClock(SilentReporter):
    """Notes when each step ended, and how the job runs."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.ended_at: list[float] = []
        self.execution: Mapping[str, object] = {}

    def planned(self, plan: Plan) -> None:
        """Keep the execution."""
        self.execution = plan.execution

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """The evaluation before the first step ends when it begins."""
        del step, tokens
        if "train/loss" in values or not self.ended_at:
            self.ended_at.append(time.perf_counter())


def main() -> None:
    """Train and answer."""
    case = SpeedCase.read()
    shape = ModelShape(**case.shape)
    is_decoder = shape.architecture == "decoder"
    spec = JobSpec(
        corpus="corpus",
        tokenizer="tokenizer",
        model=shape,
        objective=CausalObjective() if is_decoder else MaskedObjective(rate=0.3),
        budget=Budget(steps=case.num_steps),
        batch_tokens=case.batch_tokens,
        precision=case.precision,  # type: ignore[arg-type]
        optimizer=OptimizerSpec(name="adamw", learning_rate=1e-3),
        evaluation=EvaluationSpec(every_steps=NEVER, max_tokens=shape.context_length),
        checkpoints=CheckpointSpec(every_steps=NEVER),
    )
    execution = replace(
        decide_execution(spec),
        compiled=case.compiled,
        threads=case.threads,
    )
    kernel = attention_kernel(
        shape, has_document_mask=False, device=execution.device, compiled=case.compiled
    )
    clock, started = StepClock(), time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        train(
            spec,
            datasets=[Path(case.directory) / "dataset"],
            out=Path(out),
            resume=None,
            execution=replace(execution, attention=kernel),
            fence=1,
            reporter=clock,
            stop=NeverStop(),
            provenance={},
        )
    answer_steps(
        case,
        clock.ended_at,
        execution=dict(clock.execution),
        seconds_to_first_step=clock.ended_at[1] - started,
        resident_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        device_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
    )


if __name__ == "__main__":
    main()
