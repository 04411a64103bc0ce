"""Checkpoints that are written while training goes on."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.spec import Budget, CheckpointSpec
from corpora.durable import HashedFile
from tests.unit.training.conftest import Recorder, StopAfter, make_spec, run, weights
from training.checkpoint import verify_checkpoint
from training.ports import SavedCheckpoint

pytestmark = pytest.mark.usefixtures("one_core")


class Slow(Recorder):
    """A disk that writes nothing before the job has reached a step."""

    def __init__(self, *, until_step: int) -> None:
        super().__init__()
        self._until_step = until_step
        self._may_write = threading.Event()
        self.saved_at: list[tuple[int, int]] = []
        self._step = 0

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        super().metrics(step=step, tokens=tokens, values=values)
        self._step = step
        if step >= self._until_step:
            self._may_write.set()

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        super().checkpoint_saved(checkpoint)
        self.saved_at.append((checkpoint.step, self._step))

    @contextmanager
    def disk(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        sync = os.fsync

        def late_sync(descriptor: int) -> None:
            assert self._may_write.wait(60)
            sync(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", late_sync)
            yield


def test_training_goes_on_while_a_checkpoint_is_written_and_does_not_reach_into_it(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("decoder", checkpoints=CheckpointSpec(every_steps=5))
    at_once, late = Recorder(), Slow(until_step=8)
    run(spec, dataset, tmp_path / "a", stop=StopAfter(6), reporter=at_once)
    with late.disk(monkeypatch):
        run(spec, dataset, tmp_path / "b", stop=StopAfter(9), reporter=late)
    step, told_at = late.saved_at[0]
    assert (step, told_at >= 8) == (5, True)
    assert weights(late.saved[0].path) == weights(at_once.saved[0].path)
    assert [saved.step for saved in late.saved] == [5, 9]
    verify_checkpoint(late.saved[1].path)


def test_a_second_save_waits_for_the_first(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("decoder", budget=Budget(steps=4), checkpoints=CheckpointSpec(every_steps=1))
    late = Slow(until_step=2)
    with late.disk(monkeypatch):
        run(spec, dataset, tmp_path, reporter=late)
    assert [saved.step for saved in late.saved] == [1, 2, 3, 4]
    assert late.saved_at[0] == (1, 2)
    for saved in late.saved:
        verify_checkpoint(saved.path)
    assert (4, "throughput/save_stall_seconds") in late.values
    assert (1, "throughput/save_stall_seconds") not in late.values


def test_a_full_disk_ends_the_job_and_leaves_no_torn_checkpoint(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec("decoder", checkpoints=CheckpointSpec(every_steps=3))
    write = HashedFile.write
    heard = Recorder()

    def fills_up(file: HashedFile, data: bytes) -> None:
        if "step-00000006" in str(file.path):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, data)

    monkeypatch.setattr(HashedFile, "write", fills_up)
    with pytest.raises(OSError, match="No space left"):
        run(spec, dataset, tmp_path, reporter=heard)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003-f1"]
    assert [saved.step for saved in heard.saved] == [3]


class Striking(Recorder):
    """Fails once a step is told."""

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        super().metrics(step=step, tokens=tokens, values=values)
        if step == 6:
            raise RuntimeError("struck")


def test_a_checkpoint_that_was_begun_before_an_error_is_not_lost_to_it(
    dataset: Path, tmp_path: Path
) -> None:
    heard = Striking()
    with pytest.raises(RuntimeError, match="struck"):
        run(make_spec("decoder"), dataset, tmp_path, reporter=heard)
    assert [saved.step for saved in heard.saved] == [5]
    verify_checkpoint(heard.saved[0].path)
