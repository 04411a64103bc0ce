from __future__ import annotations

from core.lifecycle import StopReason
from workers.messages import Measured, PhaseChanged
from workers.supervision import Ending, Pulse


def step(number: int) -> Measured:
    return Measured(step=number, tokens=number, values={})


def test_child_that_has_not_made_a_step_never_hangs() -> None:
    pulse = Pulse(hang_seconds=300)
    pulse.hear(PhaseChanged(phase="preparing"), 0)
    assert not pulse.hangs(100_000)


def test_child_hangs_after_ten_times_its_usual_step_but_not_before_the_floor() -> None:
    quick, slow = Pulse(hang_seconds=300), Pulse(hang_seconds=300)
    for number in range(10):
        quick.hear(step(number), number * 1.0)
        slow.hear(step(number), number * 60.0)
    assert not quick.hangs(9 + 300)
    assert quick.hangs(9 + 301)
    assert not slow.hangs(540 + 600)
    assert slow.hangs(540 + 601)


def test_other_messages_are_signs_of_life() -> None:
    pulse = Pulse(hang_seconds=300)
    for number in range(3):
        pulse.hear(step(number), number)
    pulse.hear(PhaseChanged(phase="evaluating"), 250)
    assert not pulse.hangs(500)


def ending(exit_code: int, *, asked: StopReason | None = None, was_killed: bool = False) -> Ending:
    return Ending(exit_code=exit_code, result={}, failure=None, asked=asked, was_killed=was_killed)


def test_child_has_left_only_if_it_was_asked() -> None:
    assert ending(75, asked=StopReason.DRAIN).has_left
    assert ending(-9, asked=StopReason.CANCEL, was_killed=True).has_left
    assert not ending(75).has_left
    assert not ending(-9).has_left
    assert not ending(65, asked=StopReason.DRAIN).has_left


def test_cause_of_a_silent_end_names_the_signal_or_the_code() -> None:
    assert "signal 9" in ending(-9).cause
    assert "exit code 3" in ending(3).cause
