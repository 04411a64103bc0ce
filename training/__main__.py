"""``python -m training spec.json --dataset DIR... --out DIR [--resume DIR]``: the engine alone.

Needs no service, no database and no broker. Ctrl-C saves a checkpoint and leaves; a second one
leaves at once. Beside the checkpoints lie event files for TensorBoard.

``torchrun --nproc-per-node=N -m training ...`` trains the same model on N devices of this host.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import ValidationError

from core.errors import CheckpointDamaged, Diverged, InvalidRequest, PretrainerError, RankLost
from core.lifecycle import ExitCode, StopReason
from core.memory_errors import is_out_of_memory
from core.spec import JobSpec
from training.build import train
from training.checkpoint import read_manifest
from training.event_files import EventFileReporter
from training.mlflow_runs import MlflowReporter
from training.ports import (
    Continuation,
    Filling,
    Phase,
    Plan,
    Reporter,
    SavedCheckpoint,
    SilentReporter,
)
from training.ranks import joined_by_torchrun

_CHECKPOINT = re.compile(r"step-(?P<step>\d{8,})-f(?P<fence>\d+)")
_BESIDE = "beside the checkpoints"
_SECONDS_BETWEEN_LINES = 2.0
_TOO_LITTLE_MEMORY = (
    "There is not enough memory to train this model, not even on one sequence at a time; a smaller "
    "model or a shorter model.context_length needs less."
)
_LEAVING = b"finishing this step and saving; once more to leave at once\n"


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    """Train as the command line says; returns how it ended."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train a model.")
    parser.add_argument("spec", type=Path, help="the job's spec, JSON")
    parser.add_argument(
        "--dataset",
        type=Path,
        required=True,
        nargs="+",
        help="directory of token shards; of a mixture, one for each corpus in the spec's order",
    )
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints go")
    parser.add_argument("--resume", type=Path, help="the checkpoint to go on from")
    parser.add_argument(
        "--initial", type=Path, help="the folder of weights that the spec's start names"
    )
    parser.add_argument(
        "--mlflow",
        nargs="?",
        const=_BESIDE,
        metavar="URI",
        help="record the run in MLflow too; without a URI, in OUT/mlflow.db",
    )
    given = parser.parse_args(arguments)
    try:
        spec = JobSpec.model_validate_json(given.spec.read_bytes())
        given.out.mkdir(parents=True, exist_ok=True)
        with (
            joined_by_torchrun() as ranks,
            _reporter(spec, out=given.out, mlflow=given.mlflow, rank=ranks.rank) as reporter,
        ):
            reason = train(
                spec,
                datasets=given.dataset,
                out=given.out,
                resume=given.resume,
                initial=given.initial,
                fence=_next_fence(given.out),
                reporter=reporter,
                stop=InterruptSignal(),
                provenance={},
                ranks=ranks,
            )
    except (ValidationError, InvalidRequest) as error:
        return _failed(str(error), ExitCode.BAD_SPEC)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return _failed(str(error), ExitCode.DISK_FULL if is_full else ExitCode.BAD_DATA)
    except PretrainerError as error:
        return _failed(error.message, _exit_code(error))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _failed(_TOO_LITTLE_MEMORY, ExitCode.OUT_OF_MEMORY)
    if reason is StopReason.EARLY_STOPPING and ranks.rank == 0:
        _say("held-out text became no easier: stopped early")
    return ExitCode.DRAINED if reason is StopReason.DRAIN else ExitCode.DONE


@contextlib.contextmanager
def _reporter(spec: JobSpec, *, out: Path, mlflow: str | None, rank: int) -> Iterator[Reporter]:
    """Who hears what happens: the terminal, an event file and, if asked for, MLflow.

    Of the ranks of a job one is enough to tell.
    """
    if rank > 0:
        yield SilentReporter()
        return
    reporter = EventFileReporter(TerminalReporter(out, keep_last=spec.checkpoints.keep_last), out)
    if mlflow is None:
        yield reporter
        return
    uri = f"sqlite:///{out.absolute()}/mlflow.db" if mlflow == _BESIDE else mlflow
    artifacts = out / "mlflow_artifacts"
    with MlflowReporter(reporter, uri=uri, artifacts=artifacts, spec=spec) as recorded:
        yield recorded


class InterruptSignal:
    """Turns the first Ctrl-C or SIGTERM into a request to save and leave."""

    def __init__(self) -> None:
        """Listen from now on."""
        self._reason: StopReason | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._received)

    def requested(self) -> StopReason | None:
        """DRAIN once a signal has come."""
        return self._reason

    def _received(self, number: int, _frame: FrameType | None) -> None:
        self._reason = StopReason.DRAIN
        signal.signal(number, signal.SIG_DFL)
        # not print: the signal may have come in the middle of one, and a second cannot begin there
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), _LEAVING)


class TerminalReporter:
    """Prints what happens, and keeps the newest checkpoints only."""

    def __init__(self, out: Path, *, keep_last: int) -> None:
        """``keep_last`` checkpoints stay in ``out``."""
        self._out = out
        self._keep_last = keep_last
        self._plan: Plan | None = None
        self._last_line = 0.0

    def planned(self, plan: Plan) -> None:
        """Say what will be done."""
        self._plan = plan
        steps = "until the clock runs out" if plan.num_steps is None else f"{plan.num_steps} steps"
        how = ", ".join(f"{name} {value}" for name, value in plan.execution.items())
        _say(f"{plan.num_parameters:,} parameters; {how}")
        _say(f"{plan.tokens_per_step:,} tokens a step, {steps}")

    def phase(self, phase: Phase) -> None:
        """Say nothing: the lines that follow do."""

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """One line every few seconds, and one for every evaluation."""
        if "train/loss" not in values:
            shown = "   ".join(
                f"{name.partition('/')[2].replace('_', ' ')} {value:.4f}"
                for name, value in values.items()
            )
            _say(f"step {step:6d}   held-out text: {shown}")
        elif time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            of = f"/{self._plan.num_steps}" if self._plan and self._plan.num_steps else ""
            _say(
                f"step {step:6d}{of}   loss {values['train/loss']:.4f}   "
                f"{values['throughput/tokens_per_second']:,.0f} tokens/s   {tokens:,} tokens"
            )

    def probed(
        self, *, step: int, continuations: Sequence[Continuation], fillings: Sequence[Filling]
    ) -> None:
        """Show what the model says."""
        del step
        for continuation in continuations:
            _say(f"    {continuation.prompt!r} -> {continuation.text!r}")
        for filling in fillings:
            _say(f"    {filling.blank} -> {filling.text}")

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        """Say where it is, and delete the oldest beyond ``keep_last``."""
        _say(f"saved {checkpoint.path}")
        saved = sorted(_checkpoints(self._out), key=lambda path: _order(path.name))
        for old in saved[: -self._keep_last]:
            shutil.rmtree(old)

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        """Print the message."""
        del code, data
        _say(message)


def _checkpoints(out: Path) -> list[Path]:
    """Whole checkpoints in ``out``."""
    found = []
    for path in out.iterdir():
        if _CHECKPOINT.fullmatch(path.name):
            try:
                read_manifest(path)
            except CheckpointDamaged:
                continue
            found.append(path)
    return found


def _order(name: str) -> tuple[int, int]:
    match = _CHECKPOINT.fullmatch(name)
    assert match is not None
    return int(match["step"]), int(match["fence"])


def _next_fence(out: Path) -> int:
    """One more than any attempt before has used in ``out``."""
    names = [path.name for path in out.iterdir() if _CHECKPOINT.fullmatch(path.name)]
    return 1 + max((_order(name)[1] for name in names), default=0)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command prints


def _exit_code(error: PretrainerError) -> ExitCode:
    if isinstance(error, Diverged):
        return ExitCode.DIVERGED
    return ExitCode.INTERNAL if isinstance(error, RankLost) else ExitCode.BAD_DATA


def _failed(message: str, code: ExitCode) -> ExitCode:
    print(message, file=sys.stderr)  # noqa: T201 - a command prints
    return code


if __name__ == "__main__":
    sys.exit(main())
