from training.telemetry import Stopwatch


def test_a_stopwatch_counts_on_from_what_earlier_attempts_took() -> None:
    times = iter([100.0, 103.5])
    stopwatch = Stopwatch(already_seconds=20.0, clock=lambda: next(times))
    assert stopwatch.seconds() == 23.5
