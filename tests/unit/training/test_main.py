"""``python -m training`` as a process of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.deciding_metric import deciding_metric
from core.lifecycle import ExitCode, StopReason
from core.objectives import CausalObjective
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
)
from training.checkpoint import save_checkpoint, verify_checkpoint
from training.command import main
from training.interruption import InterruptSignal
from training.out_directory import OutDirectory, opened
from training.ports import NeverStop

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# which the processes that are started here inherit
pytestmark = pytest.mark.usefixtures("one_core")

ROOT = Path(__file__).parents[3]


def write_spec(path: Path, *, num_steps: int) -> Path:
    spec = JobSpec(
        corpus="corpus",
        tokenizer="tokenizer",
        model=ModelShape(
            architecture="decoder", layers=1, width=32, heads=2, kv_heads=2, ffn_width=48,
            context_length=64, vocab_size=512,
        ),
        objective=CausalObjective(),
        budget=Budget(steps=num_steps),
        batch_tokens=128,
        optimizer=OptimizerSpec(learning_rate=0.02),
        evaluation=EvaluationSpec(every_steps=10**6, max_tokens=512),
        checkpoints=CheckpointSpec(every_steps=20, keep_last=2),
    )  # fmt: skip
    path.write_text(spec.model_dump_json())
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "training", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class InterruptedWhileWriting(io.RawIOBase):
    """A terminal on which Ctrl-C comes in the middle of the first line that is written."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_first = True

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: ReadableBuffer) -> int:
        if self._is_first:
            self._is_first = False
            signal.raise_signal(signal.SIGINT)
        return os.write(self._descriptor, data)


def test_a_signal_in_the_middle_of_a_printed_line_only_asks_to_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    path = tmp_path / "terminal"
    with path.open("wb") as terminal:
        stdout = io.TextIOWrapper(io.BufferedWriter(InterruptedWhileWriting(terminal.fileno())))
        monkeypatch.setattr(sys, "stdout", stdout)
        try:
            stop = InterruptSignal()
            stdout.write("saved\n")
            stdout.flush()
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
    assert stop.requested() is StopReason.DRAIN
    assert path.read_text().endswith("once more to leave at once\nsaved\n")


@pytest.mark.slow
def test_an_interrupted_run_saves_leaves_and_goes_on_where_it_was(
    dataset: Path, tmp_path: Path
) -> None:
    endless = write_spec(tmp_path / "spec.json", num_steps=10**6)
    out = tmp_path / "out"
    with start(endless, "--dataset", dataset, "--out", out) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("saved") for line in lines)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (ExitCode.DRAINED, "")
    newest = max(out.glob("step-*"))
    interrupted_at = verify_checkpoint(newest).step
    assert interrupted_at >= 20
    assert len(list(out.glob("step-*"))) <= 2

    with start(endless, "--dataset", dataset, "--out", out, "--resume", newest) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("saved") for line in lines)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == ExitCode.DRAINED
    manifest = verify_checkpoint(max(out.glob("step-*")))
    assert manifest.step > interrupted_at
    assert manifest.fence == 2


@pytest.mark.slow
def test_a_finished_run_says_so_and_keeps_its_newest_checkpoints(
    dataset: Path, tmp_path: Path
) -> None:
    spec = write_spec(tmp_path / "spec.json", num_steps=70)
    with start(spec, "--dataset", dataset, "--out", tmp_path / "out") as process:
        output, errors = process.communicate()
    assert (process.returncode, errors) == (ExitCode.DONE, "")
    assert "held-out text" in output
    *events, earlier, last = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [earlier, last] == ["step-00000060-f1", "step-00000070-f1"]
    assert [name.partition(".out")[0] for name in events] == ["events"]


def test_ctrl_c_is_heard_before_anything_heavy_is_imported() -> None:
    script = (
        "import runpy, signal, sys\n"
        "import training.interruption\n"
        "assert 'torch' not in sys.modules\n"
        "stop = training.interruption.InterruptSignal()\n"
        "signal.raise_signal(signal.SIGINT)\n"
        "assert stop.requested()\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert answer.returncode == 0


def told(*arguments: object) -> tuple[int, str]:
    """What the command says of itself when it does not succeed, in this process."""
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        code = main([*map(str, arguments)], stop=NeverStop())
    return code, errors.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{broken", "is no JSON"),
        ("[]", "should be an object"),
        ('{"corpus": "c", "model": "tiny"}', "GET /v1/jobs/{id}"),
    ],
)
def test_what_is_no_spec_is_refused_in_words(
    text: str, expected: str, dataset: Path, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(text)
    code, errors = told(spec, "--dataset", dataset, "--out", tmp_path / "out")
    assert code == ExitCode.BAD_SPEC
    assert expected in errors
    assert "pydantic" not in errors
    assert not (tmp_path / "out").exists()


def test_every_wrong_field_of_a_spec_gets_a_line(dataset: Path, tmp_path: Path) -> None:
    path = write_spec(tmp_path / "spec.json", num_steps=1)
    spec = json.loads(path.read_text())
    spec["model"]["layer"] = 3
    path.write_text(json.dumps({**spec, "batch_tokens": -1, "objective": None}))
    code, errors = told(path, "--dataset", dataset, "--out", tmp_path / "out")
    assert code == ExitCode.BAD_SPEC
    lines = errors.splitlines()
    assert len(lines) == 3
    for word in ("batch_tokens", "Did you mean 'layers'", "objective"):
        assert any(word in line for line in lines)


def test_a_file_that_is_not_there_is_named(dataset: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "spec.json", num_steps=1)
    out, nothing = tmp_path / "out", tmp_path / "nothing"
    assert told(nothing, "--dataset", dataset, "--out", out) == (
        ExitCode.BAD_SPEC,
        f"The spec {nothing} cannot be read: No such file or directory.\n",
    )
    for option in ("--dataset", "--resume"):
        given = {"--dataset": dataset, "--out": out, option: nothing}
        code, errors = told(spec, *(word for pair in given.items() for word in pair))
        assert code == ExitCode.BAD_DATA
        assert "nothing" in errors
        assert len(errors.splitlines()) == 1
    code, errors = told(spec, "--dataset", dataset, "--out", spec)
    assert (code, errors) == (ExitCode.BAD_DATA, f"--out {spec} cannot be used: File exists.\n")


def test_a_shard_with_other_bytes_is_not_trained_on(dataset: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "spec.json", num_steps=1)
    copy = shutil.copytree(dataset, tmp_path / "copy")
    shard = copy / "train-00000.tokens.bin"
    shard.write_bytes(b"\xff" * shard.stat().st_size)  # ids that the model has no rows for
    code, errors = told(spec, "--dataset", copy, "--out", tmp_path / "out")
    assert code == ExitCode.BAD_DATA
    assert str(shard) in errors


def test_a_run_writes_over_no_other_ones_checkpoints(dataset: Path, tmp_path: Path) -> None:
    spec, out = write_spec(tmp_path / "spec.json", num_steps=2), tmp_path / "out"
    assert told(spec, "--dataset", dataset, "--out", out) == (ExitCode.DONE, "")
    (checkpoint,) = out.glob("step-*")
    code, errors = told(spec, "--dataset", dataset, "--out", out)
    assert code == ExitCode.BAD_DATA
    assert f"--resume {checkpoint}" in errors
    other = write_spec(tmp_path / "other.json", num_steps=3)
    elsewhere = tmp_path / "elsewhere"
    assert told(other, "--dataset", dataset, "--out", elsewhere) == (ExitCode.DONE, "")
    (resume,) = elsewhere.glob("step-*")
    for given in ([], ["--resume", resume]):
        code, errors = told(other, "--dataset", dataset, "--out", out, *given)
        assert code == ExitCode.BAD_DATA
        assert "another spec" in errors


def test_two_runs_cannot_write_into_one_directory(dataset: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "spec.json", num_steps=1)
    with opened(tmp_path / "out"):
        code, errors = told(spec, "--dataset", dataset, "--out", tmp_path / "out")
    assert code == ExitCode.BAD_DATA
    assert "Another run" in errors


def test_what_a_killed_run_left_half_written_goes(tmp_path: Path) -> None:
    (tmp_path / ".tmp-step-00000010-f1-0a0b").mkdir()
    (tmp_path / "notes.txt").touch()
    with opened(tmp_path) as out:
        assert [path.name for path in out.path.iterdir()] == ["notes.txt"]


def test_later_attempts_checkpoints_are_newer_whatever_their_step(tmp_path: Path) -> None:
    for step, fence in ((20, 1), (40, 1), (30, 2)):
        save_checkpoint(
            tmp_path, step=step, tokens=0, fence=fence, spec_sha256="", metrics={}, files={}
        )
    out = OutDirectory(tmp_path)
    assert out.next_fence() == 3
    out.keep(last=2, best=0, metric=deciding_metric("decoder"))
    assert [path.name for path in out.checkpoints()] == ["step-00000040-f1", "step-00000030-f2"]


def test_the_best_checkpoint_stays_however_many_come_after_it(tmp_path: Path) -> None:
    metric = deciding_metric("decoder")
    out = OutDirectory(tmp_path)
    for step, bits in ((10, 2.5), (20, 2.0), (30, 2.2), (40, 2.1), (50, None)):
        metrics = {} if bits is None else {metric.name: bits}
        save_checkpoint(
            tmp_path, step=step, tokens=0, fence=1, spec_sha256="", metrics=metrics, files={}
        )
        out.keep(last=1, best=1, metric=metric)
    assert [path.name for path in out.checkpoints()] == ["step-00000020-f1", "step-00000050-f1"]


LITTLE_MEMORY = """
import resource
import sys
from pathlib import Path
from training.command import main

pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + 2**30
resource.setrlimit(resource.RLIMIT_AS, (most, most))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_a_model_that_does_not_fit_into_memory_is_said_to_be_too_large(
    dataset: Path, tmp_path: Path
) -> None:
    path = write_spec(tmp_path / "spec.json", num_steps=1)
    spec = json.loads(path.read_text())
    # more than is left to the process by its weights alone, and less than any machine has
    spec["model"] |= {"layers": 10, "width": 1536, "ffn_width": 6144, "heads": 12, "kv_heads": 12}
    path.write_text(json.dumps(spec))
    arguments = [path, "--dataset", dataset, "--out", tmp_path / "out"]
    answer = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == ExitCode.OUT_OF_MEMORY, answer.stderr
    assert "not enough memory" in answer.stderr
