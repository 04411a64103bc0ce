from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.engine import Database
from db.repositories.metrics import MetricPoint
from db.tables import Job
from db.unit_of_work import UnitOfWork

LOSS = "train/loss"


@pytest.fixture
def uow(database: Database) -> Iterator[UnitOfWork]:
    with database.unit_of_work(write=True) as unit:
        yield unit


@pytest.fixture
def job_id(uow: UnitOfWork) -> str:
    return uow.jobs.add(Job(name="job", request={})).id


def record(
    uow: UnitOfWork, job_id: str, steps: range, *, name: str = LOSS, value: float = 1.0
) -> None:
    uow.metrics.record(job_id, [MetricPoint(step, step * 10, name, value) for step in steps])


def test_a_step_done_again_replaces_its_values_and_never_doubles_them(
    uow: UnitOfWork, job_id: str
) -> None:
    record(uow, job_id, range(1, 6), value=2.0)
    record(uow, job_id, range(4, 8), value=1.0)
    points = uow.metrics.read(job_id)
    assert [(point.step, point.value) for point in points] == [
        (1, 2.0), (2, 2.0), (3, 2.0), (4, 1.0), (5, 1.0), (6, 1.0), (7, 1.0)
    ]  # fmt: skip


def test_of_two_values_of_a_step_in_one_batch_the_later_counts(
    uow: UnitOfWork, job_id: str
) -> None:
    uow.metrics.record(job_id, [MetricPoint(1, 10, LOSS, 5.0), MetricPoint(1, 10, LOSS, 4.0)])
    assert [point.value for point in uow.metrics.read(job_id)] == [4.0]


def test_a_value_that_is_no_finite_number_is_kept_as_none(uow: UnitOfWork, job_id: str) -> None:
    values = (math.nan, math.inf, -math.inf, 0.5)
    uow.metrics.record(
        job_id, [MetricPoint(step, step, LOSS, value) for step, value in enumerate(values)]
    )
    assert [point.value for point in uow.metrics.read(job_id)] == [None, None, None, 0.5]


def test_points_are_filtered_by_name_and_step(uow: UnitOfWork, job_id: str) -> None:
    record(uow, job_id, range(1, 6))
    record(uow, job_id, range(2, 3), name="validation/loss")
    found = uow.metrics.read(job_id, names=[LOSS], from_step=2, to_step=4)
    assert [(point.name, point.step) for point in found] == [(LOSS, 2), (LOSS, 3), (LOSS, 4)]
    both = uow.metrics.read(job_id, from_step=2, to_step=2)
    assert [point.name for point in both] == [LOSS, "validation/loss"]


@pytest.mark.parametrize(
    ("num_points", "resolution", "expected"),
    [
        (5, 5, [0, 1, 2, 3, 4]),
        (5, 9, [0, 1, 2, 3, 4]),
        (5, 2, [0, 4]),
        (5, 1, [0, 4]),
        (9, 3, [0, 4, 8]),
        (1, 2, [0]),
        (0, 2, []),
    ],
)
def test_thinning_keeps_the_first_and_the_last(
    uow: UnitOfWork, job_id: str, num_points: int, resolution: int, expected: list[int]
) -> None:
    record(uow, job_id, range(num_points))
    points = uow.metrics.read(job_id, resolution=resolution)
    assert [point.step for point in points] == expected


def test_thinning_is_even_and_gives_as_many_points_as_asked_for(
    uow: UnitOfWork, job_id: str
) -> None:
    record(uow, job_id, range(1000))

    @settings(max_examples=20)
    @given(st.integers(2, 1100))
    def check(resolution: int) -> None:
        steps = [point.step for point in uow.metrics.read(job_id, resolution=resolution)]
        assert len(steps) == min(resolution, 1000)
        assert (steps[0], steps[-1]) == (0, 999)
        gaps = {after - before for before, after in pairwise(steps)}
        assert max(gaps) - min(gaps) <= 1

    check()


def test_each_name_is_thinned_by_itself(uow: UnitOfWork, job_id: str) -> None:
    record(uow, job_id, range(100))
    record(uow, job_id, range(0, 100, 50), name="validation/loss")
    points = uow.metrics.read(job_id, resolution=3)
    assert [point.step for point in points if point.name == LOSS] == [0, 50, 99]
    assert [point.step for point in points if point.name == "validation/loss"] == [0, 50]


def test_metrics_go_with_their_job(uow: UnitOfWork, job_id: str) -> None:
    record(uow, job_id, range(3))
    uow.jobs.delete(uow.jobs.get(job_id))
    assert uow.metrics.read(job_id) == []
