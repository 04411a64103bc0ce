"""``python -m training`` as a process of its own."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from pydoc_data import topics
from typing import TYPE_CHECKING

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

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
from corpora.dataset_writer import DatasetWriter
from corpora.vocabulary import SPECIAL_TOKENS
from training.__main__ import InterruptSignal
from training.checkpoint import verify_checkpoint

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [topics.topics["import"], topics.topics["with"]]
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    directory = tmp_path_factory.mktemp("dataset")
    writer = DatasetWriter(
        directory, corpus_digest="00" * 32, tokenizer_json=tokenizer.to_str().encode()
    )
    writer.add("train", tokenizer.encode(texts[0]).ids, len(texts[0].encode()))
    writer.add("validation", tokenizer.encode(texts[1]).ids, len(texts[1].encode()))
    writer.close()
    return directory


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


@pytest.mark.slow
def test_a_wrong_spec_is_told_apart_from_wrong_data(dataset: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "spec.json", num_steps=1)
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**json.loads(spec.read_text()), "batch_tokens": -1}))
    cases = [(wrong, dataset, ExitCode.BAD_SPEC), (spec, tmp_path, ExitCode.BAD_DATA)]
    for spec_path, dataset_path, code in cases:
        with start(spec_path, "--dataset", dataset_path, "--out", tmp_path / "out") as process:
            _, errors = process.communicate()
        assert process.returncode == code
        assert errors.strip()


LITTLE_MEMORY = """
import resource
import sys
from pathlib import Path
from training.__main__ import main

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
    spec["model"] |= {"layers": 16, "width": 4096, "ffn_width": 16384, "heads": 32, "kv_heads": 32}
    path.write_text(json.dumps(spec))
    arguments = [path, "--dataset", dataset, "--out", tmp_path / "out"]
    answer = subprocess.run(
        [sys.executable, "-c", LITTLE_MEMORY, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == ExitCode.OUT_OF_MEMORY, answer.stderr
    assert "not enough memory" in answer.stderr
