"""Our side of the quality benchmark: ``python -m benchmarks.sides.quality_ours CASE ANSWER``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.sides.case import answer
from benchmarks.sides.quality_case import QualityCase
from core.objectives import CausalObjective
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
    ScheduleSpec,
)
from training.build import train
from training.ports import NeverStop, Plan, SavedCheckpoint, SilentReporter

NEVER = 10**9


class Watch(SilentReporter):
    """Notes when the last step ended, how the job runs and where its weights are."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.ended_at = 0.0
        self.num_steps = 0
        self.execution: Mapping[str, object] = {}
        self.checkpoint: Path | None = None

    def planned(self, plan: Plan) -> None:
        """Keep the execution."""
        self.execution = plan.execution

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """A step has ended."""
        del tokens
        if "train/loss" in values:
            self.ended_at, self.num_steps = time.perf_counter(), step

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        """Keep the last."""
        self.checkpoint = checkpoint.path


def main() -> None:
    """Train as a job would with everything by rule, and answer."""
    case = QualityCase.read()
    spec = JobSpec(
        corpus="corpus",
        tokenizer="tokenizer",
        model=ModelShape(**case.shape),
        objective=CausalObjective(),
        budget=Budget(seconds=case.seconds),
        batch_tokens=case.batch_tokens,
        seed=case.seed,
        precision=case.precision,  # type: ignore[arg-type]
        optimizer=OptimizerSpec(learning_rate=case.learning_rate, beta2=0.99, cautious_decay=True),
        schedule=ScheduleSpec(),
        evaluation=EvaluationSpec(every_steps=NEVER, max_tokens=case.shape["context_length"]),
        checkpoints=CheckpointSpec(every_steps=NEVER),
    )
    watch, started = Watch(), time.perf_counter()
    out = Path(case.out)
    train(
        spec,
        datasets=[Path(case.directory) / "dataset"],
        out=out,
        resume=None,
        fence=1,
        reporter=watch,
        stop=NeverStop(),
        provenance={},
    )
    assert watch.checkpoint is not None  # the end saves one
    shutil.copy(watch.checkpoint / "model.safetensors", out / "model.safetensors")
    answer(
        seconds=watch.ended_at - started,
        num_steps=watch.num_steps,
        execution=dict(watch.execution),
    )


if __name__ == "__main__":
    main()
