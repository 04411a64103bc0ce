from __future__ import annotations

from itertools import count
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.unit.training.conftest import Recorder
from training.event_files import EventFileReporter
from training.ports import Continuation, Filling


def test_what_is_reported_is_written_at_once_and_passed_on(tmp_path: Path) -> None:
    heard = Recorder()
    times = count(1_700_000_000)
    reporter = EventFileReporter(heard, tmp_path, clock=lambda: float(next(times)))
    for step in (1, 2):
        reporter.metrics(step=step, tokens=step * 512, values={"train/loss": 9.0 - step})
    said = [Continuation("Once", " upon a time")]
    filled = [Filling("a ____", "a guitar", [])]
    reporter.probed(step=2, continuations=said, fillings=filled)

    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(point.step, point.value) for point in read.Scalars("train/loss")] == [
        (1, 8.0),
        (2, 7.0),
    ]
    assert read.Tags()["tensors"] == ["probes/Once", "probes/a ____"]
    assert heard.values == {(1, "train/loss"): 8.0, (2, "train/loss"): 7.0}
    assert heard.probes == {2: (said, filled)}
