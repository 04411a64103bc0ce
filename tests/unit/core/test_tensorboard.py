"""Against TensorBoard's own reader, which checks every checksum."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core import tensorboard


def read(directory: Path, *records: bytes) -> EventAccumulator:
    name = tensorboard.event_file_name(created_at=1.7e9, writer="test")
    header = tensorboard.file_version(created_at=1.7e9)
    (directory / name).write_bytes(header + b"".join(records))
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def test_tensorboard_reads_each_number_at_its_step_and_time(tmp_path: Path) -> None:
    records = [
        tensorboard.scalars(
            {"train/loss": 9.5 - step, "optimizer/learning_rate": 1e-4},
            step=step * 100_000,
            created_at=1.7e9 + step,
        )
        for step in range(4)
    ]
    accumulator = read(tmp_path, *records)
    assert set(accumulator.Tags()["scalars"]) == {"train/loss", "optimizer/learning_rate"}
    losses = accumulator.Scalars("train/loss")
    assert [(point.step, point.value) for point in losses] == [
        (0, 9.5), (100_000, 8.5), (200_000, 7.5), (300_000, 6.5),
    ]  # fmt: skip
    assert [point.wall_time for point in losses] == [1.7e9 + step for step in range(4)]
    assert accumulator.Scalars("optimizer/learning_rate")[0].value == pytest.approx(1e-4)


def test_number_too_large_for_the_format_is_infinite_there(tmp_path: Path) -> None:
    records = [
        tensorboard.scalars({"optimizer/gradient_norm": value}, step=step, created_at=1.7e9)
        for step, value in enumerate((1e300, -1e300, 3.0))
    ]
    points = read(tmp_path, *records).Scalars("optimizer/gradient_norm")
    assert [point.value for point in points] == [math.inf, -math.inf, 3.0]


def test_tensorboard_reads_what_a_model_said(tmp_path: Path) -> None:
    given, made = "Once upon a \N{GRINNING FACE}", "time\n# no heading" + " and on" * 100
    accumulator = read(
        tmp_path,
        tensorboard.probe(given, made, step=5, created_at=1.7e9),
        tensorboard.probe("x" * 5000, "y", step=5, created_at=1.7e9),
    )
    tags = accumulator.Tags()["tensors"]
    assert tags[0] == f"probes/{given}"
    assert max(map(len, tags)) < 100
    assert accumulator.SummaryMetadata(tags[0]).plugin_data.plugin_name == "text"
    (said,) = accumulator.Tensors(tags[0])
    assert said.step == 5
    lines = said.tensor_proto.string_val[0].decode().splitlines()
    assert lines == [f"    {line}" for line in (given, "→", *made.splitlines())]


def test_files_of_later_runs_come_later() -> None:
    names = [
        tensorboard.event_file_name(created_at=at, writer=writer)
        for at, writer in ((9.0, "b"), (1.7e9, "b"), (1.8e9, "a"))
    ]
    assert names == sorted(names)
    assert all("tfevents" in name for name in names)
