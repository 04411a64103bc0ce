"""The command ``python -m training``: from arguments to an exit code, and what the terminal says.

Needs no service, no database and no broker. Ctrl-C saves a checkpoint and leaves; a second one
leaves at once. Beside the checkpoints lie event files for TensorBoard. Whatever a user can do wrong
is told in a line on the standard error, and by an exit code of ``core.lifecycle.ExitCode``.

``torchrun --nproc-per-node=N -m training ...`` trains the same model on N devices of this host.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from core.deciding_metric import deciding_metric
from core.errors import Diverged, InvalidRequest, PretrainerError, RankLost
from core.findings import details_of
from core.lifecycle import ExitCode, StopReason
from core.memory_errors import is_out_of_memory
from core.spec import JobSpec
from training.build import train
from training.checkpoint import spec_digest
from training.event_files import EventFileReporter
from training.interruption import InterruptSignal
from training.mlflow_runs import MlflowReporter
from training.out_directory import OutDirectory, opened
from training.ports import (
    Continuation,
    Filling,
    Phase,
    Plan,
    Reporter,
    SavedCheckpoint,
    SilentReporter,
    StopSignal,
)
from training.ranks import Ranks, joined_by_torchrun

_BESIDE: Final = "beside the checkpoints"
_SECONDS_BETWEEN_LINES: Final = 2.0
_SECONDS_FOR_THE_FIRST_RANK: Final = 10.0
_TOO_LITTLE_MEMORY: Final = (
    "There is not enough memory to train this model, not even on one sequence at a time; a smaller "
    "model or a shorter model.context_length needs less."
)
_WHERE_SPECS_COME_FROM: Final = (
    "A spec leaves nothing open: it is what GET /v1/jobs/{id} answers as `spec`, not the request."
)


def main(arguments: Sequence[str] | None = None, *, stop: StopSignal | None = None) -> ExitCode:
    """Train as the command line says; returns how it ended.

    Args:
        arguments: Of the command line; None: those of this process.
        stop: Asks to stop; None: Ctrl-C and SIGTERM do.
    """
    given = _parser().parse_args(arguments)
    try:
        reason = _train(given, stop=stop or InterruptSignal())
    except PretrainerError as error:
        return _failed(error.message, _exit_code(error))
    except OSError as error:
        return _failed(*_about_files(error, given.out))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _failed(_TOO_LITTLE_MEMORY, ExitCode.OUT_OF_MEMORY)
    return ExitCode.DRAINED if reason is StopReason.DRAIN else ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
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
    return parser


def _train(given: argparse.Namespace, *, stop: StopSignal) -> StopReason | None:
    spec = _read_spec(given.spec)
    with joined_by_torchrun() as ranks, _out_of(given, spec, ranks) as out:
        with _reporter(spec, out=out, mlflow=given.mlflow, rank=ranks.rank) as reporter:
            reason = train(
                spec,
                datasets=given.dataset,
                out=out.path,
                resume=given.resume,
                initial=given.initial,
                fence=out.next_fence(),
                reporter=reporter,
                stop=stop,
                provenance={},
                ranks=ranks,
            )
        if ranks.rank == 0:
            _say_result(out, spec, reason)
        return reason


def _read_spec(path: Path) -> JobSpec:
    """The spec in a file.

    Raises:
        InvalidRequest: there is none, or something is wrong with it.
    """
    try:
        text = path.read_bytes()
        body = json.loads(text)
    except OSError as error:
        raise InvalidRequest(f"The spec {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise InvalidRequest(f"The spec {path} is no JSON: {error}.") from None
    try:
        return JobSpec.model_validate_json(text)
    except ValidationError as error:
        findings = [{**found, "loc": ("body", *found["loc"])} for found in error.errors()]
        details = details_of(findings, body=body, model=JobSpec)
    lines = [f"{path}: {detail.message}" for detail in details]
    if any(detail.code == "missing_field" for detail in details):
        lines.append(_WHERE_SPECS_COME_FROM)
    raise InvalidRequest("\n".join(lines))


@contextlib.contextmanager
def _out_of(given: argparse.Namespace, spec: JobSpec, ranks: Ranks) -> Iterator[OutDirectory]:
    """Where checkpoints go; of the ranks of a job only the first writes there."""
    if ranks.rank > 0:
        given.out.mkdir(parents=True, exist_ok=True)
        yield OutDirectory(given.out)
        return
    with opened(given.out) as out:
        out.refuse_strangers(
            spec_sha256=spec_digest(spec.model_dump(mode="json")),
            is_resumed=given.resume is not None,
        )
        yield out


@contextlib.contextmanager
def _reporter(
    spec: JobSpec, *, out: OutDirectory, mlflow: str | None, rank: int
) -> Iterator[Reporter]:
    """Who hears what happens: the terminal, an event file and, if asked for, MLflow.

    Of the ranks of a job one is enough to tell.
    """
    if rank > 0:
        yield SilentReporter()
        return
    terminal = TerminalReporter(out, spec)
    reporter = EventFileReporter(terminal, out.path)
    if mlflow is None:
        yield reporter
        return
    uri = f"sqlite:///{out.path.absolute()}/mlflow.db" if mlflow == _BESIDE else mlflow
    artifacts = out.path / "mlflow_artifacts"
    with MlflowReporter(reporter, uri=uri, artifacts=artifacts, spec=spec) as recorded:
        yield recorded


class TerminalReporter:
    """Prints what happens, and keeps the newest and the best checkpoints only."""

    def __init__(self, out: OutDirectory, spec: JobSpec) -> None:
        """As many stay in ``out`` as ``spec`` says."""
        self._out = out
        self._kept = spec.checkpoints
        self._metric = deciding_metric(spec.model.architecture)
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
            _say(f"step {step:6d}   held-out text: {shown or 'there is none'}")
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
        """Say where it is, and delete what nobody needs any more."""
        _say(f"saved {checkpoint.path}")
        self._out.keep(last=self._kept.keep_last, best=self._kept.keep_best, metric=self._metric)

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        """Print the message."""
        del code, data
        _say(message)


def _say_result(out: OutDirectory, spec: JobSpec, reason: StopReason | None) -> None:
    if reason is StopReason.EARLY_STOPPING:
        _say("held-out text became no easier: stopped early")
    best, newest = out.best_first(deciding_metric(spec.model.architecture))[:1], out.newest()
    if best and best[0] != newest:
        _say(f"the best on held-out text: {best[0]}")


def _about_files(error: OSError, out: Path) -> tuple[str, ExitCode]:
    """What to say of a disk that is full or broken, or of a file that is not there."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        newest = OutDirectory(out).newest()
        how = "run it again" if newest is None else f"go on with --resume {newest}"
        return f"The disk of {out} is full. Make room, and {how}.", ExitCode.DISK_FULL
    what = error.strerror or str(error)
    return f"{error.filename}: {what}." if error.filename else f"{what}.", ExitCode.BAD_DATA


def _exit_code(error: PretrainerError) -> ExitCode:
    match error:
        case InvalidRequest():
            return ExitCode.BAD_SPEC
        case Diverged():
            return ExitCode.DIVERGED
        case RankLost():
            return ExitCode.INTERNAL
        case _:
            return ExitCode.BAD_DATA


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command prints


def _failed(message: str, code: ExitCode) -> ExitCode:
    if os.environ.get("RANK", "0") != "0":
        _give_the_first_rank_the_word()
    print(message, file=sys.stderr)  # noqa: T201 - a command prints
    return code


def _give_the_first_rank_the_word() -> None:
    """Most mistakes are met by every rank, and to read of them once is enough.

    Once rank 0 has failed, torchrun ends the others; if it has not, it must be said here.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(_SECONDS_FOR_THE_FIRST_RANK)
