"""Several processes that train one model together, over gloo on the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import InvalidRequest
from core.lifecycle import ExitCode
from core.objectives import CausalObjective, SpanCorruptionObjective, Stage, StagedObjective
from core.spec import Budget, CheckpointSpec, EvaluationSpec, JobSpec, OptimizerSpec
from tests.unit.training.conftest import MIXTURE, NUM_STEPS, Recorder, make_spec, run, weights
from training.ranks import ALONE, buckets, joined_by_torchrun

pytestmark = pytest.mark.usefixtures("one_core")

ROOT = Path(__file__).parents[3]


def torchrun(
    spec: JobSpec, datasets: Sequence[Path], out: Path, *, resume: Path | None = None
) -> subprocess.Popen[str]:
    """Two ranks of ``python -m training``."""
    out.mkdir(exist_ok=True)
    path = out / "spec.json"
    path.write_text(spec.model_dump_json())
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("-m", "training", str(path), "--out", str(out), "--dataset", *map(str, datasets)),
            *(() if resume is None else ("--resume", str(resume))),
        ],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """What it printed."""
    output, errors = process.communicate()
    assert process.returncode == ExitCode.DONE, errors
    return output


def training_state(checkpoint: Path) -> dict[str, Any]:
    """What the loop remembers."""
    recorded = json.loads((checkpoint / "training_state" / "state.json").read_text())
    state: dict[str, Any] = recorded["training"]
    return state


@pytest.fixture(scope="module")
def two_ranks(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A job of two ranks: where its checkpoints are, and what it printed."""
    out = tmp_path_factory.mktemp("two")
    return out, finished(torchrun(make_spec("decoder"), [dataset], out))


@pytest.mark.slow
def test_two_ranks_take_the_same_steps_as_one(
    two_ranks: tuple[Path, str], dataset: Path, tmp_path: Path
) -> None:
    out, output = two_ranks
    alone = Recorder()
    run(make_spec("decoder"), dataset, tmp_path, reporter=alone)
    together = training_state(out / f"step-{NUM_STEPS:08d}-f1")
    losses = [alone.values[step, "train/loss"] for step in range(1, NUM_STEPS + 1)]
    assert together["guard"]["losses"] == pytest.approx(losses, rel=1e-4)
    last = {name: v for (step, name), v in alone.values.items() if step == NUM_STEPS}
    for name, value in together["metrics"].items():
        assert value == pytest.approx(last[name], rel=1e-4)
    assert together["execution"]["ranks"] == 2
    # one of them tells it, and one of them writes
    assert output.count("saved ") == 3
    assert len(list(out.glob("events.*"))) == 1
    assert sorted(path.name for path in out.glob("step-*")) == [
        "step-00000010-f1",
        "step-00000012-f1",
    ]


@pytest.mark.slow
def test_one_rank_goes_on_from_two_and_sees_the_samples_that_they_would_have_seen(
    two_ranks: tuple[Path, str], dataset: Path, tmp_path: Path
) -> None:
    out, _ = two_ranks
    resumed = Recorder()
    checkpoint = out / "step-00000010-f1"
    run(make_spec("decoder"), dataset, tmp_path, resume=checkpoint, fence=2, reporter=resumed)
    together = training_state(out / f"step-{NUM_STEPS:08d}-f1")
    losses = [resumed.values[step, "train/loss"] for step in range(11, NUM_STEPS + 1)]
    assert losses == pytest.approx(together["guard"]["losses"][10:], rel=1e-4)
    assert "execution_changed" in resumed.notices
    assert resumed.plans[0].execution["ranks"] == 1


@pytest.mark.exhaustive
def test_two_ranks_end_with_the_same_bits_every_time_interrupted_or_not(
    two_ranks: tuple[Path, str], dataset: Path, tmp_path: Path
) -> None:
    out, _ = two_ranks
    resumed = tmp_path / "resumed"
    process = torchrun(make_spec("decoder"), [dataset], resumed, resume=out / "step-00000010-f1")
    finished(process)
    again = tmp_path / "again"
    finished(torchrun(make_spec("decoder"), [dataset], again))
    last = f"step-{NUM_STEPS:08d}-f1"
    assert weights(resumed / last) == weights(again / last) == weights(out / last)


STAGES = StagedObjective(
    stages=(
        Stage(until=0.5, objective=CausalObjective(document_mask=True)),
        Stage(objective=SpanCorruptionObjective()),
    )
)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "spec",
    [
        make_spec("encoder", corpus=MIXTURE),
        make_spec("decoder", corpus=MIXTURE, objective=STAGES),
        make_spec(
            "decoder", corpus=MIXTURE, optimizer=OptimizerSpec(name="adamw", learning_rate=0.02)
        ),
    ],
    ids=["encoder", "stages", "adamw"],
)
def test_everything_that_can_be_trained_is_trained_alike_by_two_ranks(
    spec: JobSpec, dataset: Path, other_dataset: Path, tmp_path: Path
) -> None:
    both = [dataset, other_dataset]
    alone = Recorder()
    run(spec, both, tmp_path / "one", reporter=alone)
    finished(torchrun(spec, both, tmp_path / "two"))
    together = training_state(tmp_path / "two" / f"step-{NUM_STEPS:08d}-f1")
    last = alone.values[NUM_STEPS, "train/loss"]
    assert together["guard"]["losses"][-1] == pytest.approx(last, rel=1e-3)
    assert together["metrics"]["validation/loss"] == pytest.approx(
        alone.values[NUM_STEPS, "validation/loss"], rel=1e-3
    )


@pytest.mark.exhaustive
def test_two_ranks_go_back_together(dataset: Path, tmp_path: Path) -> None:
    absurd = make_spec(
        "decoder",
        budget=Budget(steps=1000),
        optimizer=OptimizerSpec(name="adamw", learning_rate=10.0),
        evaluation=EvaluationSpec(every_steps=1000, max_tokens=512),
        checkpoints=CheckpointSpec(every_steps=4),
    )
    process = torchrun(absurd, [dataset], tmp_path)
    output, errors = process.communicate()
    assert process.returncode != ExitCode.DONE
    assert output.count("The weights went back to those of step") == 2
    assert "A lower optimizer.learning_rate" in errors
    assert "Another rank" not in errors


@pytest.mark.exhaustive
def test_a_mistake_that_every_rank_meets_is_told_once(dataset: Path, tmp_path: Path) -> None:
    process = torchrun(make_spec("decoder", corpus=MIXTURE), [dataset], tmp_path)
    _, errors = process.communicate()
    assert process.returncode != ExitCode.DONE
    assert errors.count("names 2 corpora, and 1 datasets are given") == 1


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_takes_the_others_with_it_and_is_named(
    rank: int, dataset: Path, tmp_path: Path
) -> None:
    endless = make_spec("decoder", budget=Budget(steps=10**6))
    with torchrun(endless, [dataset], tmp_path) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("saved") for line in lines)
        ranks = children_of(process.pid)
        assert len(ranks) == 2
        os.kill(next(pid for pid in ranks if is_rank(pid, rank)), signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode != 0
    assert f"rank      : {rank} (local_rank: {rank})\n  exitcode  : -9" in errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)


def children_of(pid: int) -> list[int]:
    """The processes that it has started."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def is_rank(pid: int, rank: int) -> bool:
    """Whether torchrun has given the process this number."""
    return f"RANK={rank}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_ranks_on_several_hosts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidRequest, match="on one host"), joined_by_torchrun():
        pass


def test_a_process_that_torchrun_did_not_start_is_alone() -> None:
    with joined_by_torchrun() as ranks:
        assert ranks is ALONE


def test_gradients_travel_in_buckets_of_one_type_that_are_never_too_large() -> None:
    small, half = torch.zeros(10), torch.zeros(10, dtype=torch.bfloat16)
    large = torch.zeros(100)
    parts = list(buckets([small, small, small, half, large, small], most_bytes=80))
    assert [[tensor.numel() for tensor in part] for part in parts] == [
        [10, 10], [10], [10], [100], [10]
    ]  # fmt: skip
    assert parts[2][0].dtype == torch.bfloat16
