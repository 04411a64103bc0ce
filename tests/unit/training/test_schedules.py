import itertools

import pytest

from core.spec import ScheduleSpec
from training.schedules import budget_progress, learning_rate_factor

NAMES = ["wsd", "cosine", "linear"]


def curve(schedule: ScheduleSpec) -> list[float]:
    return [learning_rate_factor(schedule, progress=percent / 100) for percent in range(101)]


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_warms_up_linearly_to_the_peak(name: str) -> None:
    schedule = ScheduleSpec(name=name, warmup=0.1)  # type: ignore[arg-type]
    assert learning_rate_factor(schedule, progress=0.0) == 0
    assert learning_rate_factor(schedule, progress=0.05) == pytest.approx(0.5)
    assert learning_rate_factor(schedule, progress=0.1) == pytest.approx(1.0)


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_only_falls_after_its_warm_up_and_ends_at_zero(name: str) -> None:
    factors = curve(ScheduleSpec(name=name, warmup=0.1))[10:]  # type: ignore[arg-type]
    assert all(now >= later for now, later in itertools.pairwise(factors))
    assert factors[-1] == pytest.approx(0.0, abs=1e-12)


def test_wsd_stays_at_the_peak_until_the_decay() -> None:
    factors = curve(ScheduleSpec(name="wsd", warmup=0.1, decay=0.4))
    assert factors[10:61] == pytest.approx([1.0] * 51)
    assert factors[80] == pytest.approx(0.5)


def test_wsd_without_decay_ends_at_the_peak() -> None:
    assert curve(ScheduleSpec(name="wsd", warmup=0, decay=0)) == [1.0] * 101


def test_warm_up_and_decay_that_fill_the_budget_meet_at_the_peak() -> None:
    factors = curve(ScheduleSpec(name="wsd", warmup=0.5, decay=1.0))
    assert factors[50] == pytest.approx(1.0)
    assert factors[75] == pytest.approx(0.5)


def test_cosine_is_half_way_down_in_the_middle() -> None:
    schedule = ScheduleSpec(name="cosine", warmup=0)
    assert learning_rate_factor(schedule, progress=0.5) == pytest.approx(0.5)
    assert learning_rate_factor(schedule, progress=0.25) > 0.75


def test_progress_beyond_the_budget_counts_as_its_end() -> None:
    assert learning_rate_factor(ScheduleSpec(), progress=1.5) == 0


@pytest.mark.parametrize(
    ("step", "num_steps", "elapsed", "seconds", "expected"),
    [
        (25, 100, 9.0, None, 0.25),
        (25, 100, 50.0, 100.0, 0.5),
        (75, 100, 50.0, 100.0, 0.75),
        (75, None, 10.0, 100.0, 0.1),
    ],
)
def test_progress_is_that_of_the_limit_which_is_nearest(
    step: int, num_steps: int | None, elapsed: float, seconds: float | None, expected: float
) -> None:
    assert expected == budget_progress(
        step=step, num_steps=num_steps, elapsed_seconds=elapsed, seconds=seconds
    )


def test_what_passed_before_the_first_step_is_no_part_of_a_schedule_in_seconds() -> None:
    def progress(elapsed: float) -> float:
        return budget_progress(
            step=0, num_steps=None, elapsed_seconds=elapsed, seconds=100.0, began_seconds=20.0
        )

    assert [progress(20.0), progress(60.0), progress(100.0)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("seconds_of_a_step", [[0.5] * 200, [2.0] * 200, [0.1, 3.0] * 100])
@pytest.mark.parametrize("name", NAMES)
def test_whichever_limit_ends_the_job_its_schedule_is_complete(
    name: str, seconds_of_a_step: list[float]
) -> None:
    """100 steps or 100 seconds: at the speeds above, either is first."""
    schedule = ScheduleSpec(name=name, warmup=0.1)  # type: ignore[arg-type]
    factors, elapsed = [], 7.0
    for step, seconds in enumerate(seconds_of_a_step):
        now = {"num_steps": 100, "seconds": 107.0, "began_seconds": 7.0}
        if budget_progress(step=step, elapsed_seconds=elapsed, **now) >= 1:  # type: ignore[arg-type]
            break
        elapsed += seconds
        at = budget_progress(step=step + 0.5, elapsed_seconds=elapsed, **now)  # type: ignore[arg-type]
        factors.append(learning_rate_factor(schedule, progress=at))
    assert max(factors) > 0.9
    assert factors[0] < 0.4
    assert factors[-1] < 0.1
