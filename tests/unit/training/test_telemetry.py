from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from training.energy import PowercapMeter, nvml_meter, powercap_meter
from training.peak import measured_peak
from training.telemetry import SECONDS_BETWEEN_SAMPLES, Stopwatch, Telemetry

CPU = torch.device("cpu")


def telemetry(*, meter: list[float] | None = None, times: list[float] | None = None) -> Telemetry:
    readings = iter(meter or [])
    ticks = iter(times or itertools.count())
    return Telemetry(
        flops_per_token=600,
        peak_flops=2e6,
        device=CPU,
        meter=None if meter is None else lambda: next(readings),
        clock=lambda: float(next(ticks)),
    )


def test_a_stopwatch_counts_on_from_what_earlier_attempts_took() -> None:
    times = iter([100.0, 103.5])
    stopwatch = Stopwatch(already_seconds=20.0, clock=lambda: next(times))
    assert stopwatch.seconds() == 23.5


def test_utilization_is_the_share_of_the_peak_that_the_models_arithmetic_uses() -> None:
    values = telemetry().of_step(num_tokens=1000, seconds=0.5, data_seconds=0.1)
    assert values["throughput/tokens_per_second"] == 2000
    assert values["throughput/step_seconds"] == 0.5
    assert values["throughput/data_stall_seconds"] == 0.1
    assert values["throughput/flops_utilization"] == pytest.approx(2000 * 600 / 2e6)


def test_machine_is_looked_at_now_and_then() -> None:
    times = [0.0, 1.0, 2.0, 1.0 + SECONDS_BETWEEN_SAMPLES]
    watched = telemetry(times=times)
    told = [
        "system/memory_bytes" in watched.of_step(num_tokens=1, seconds=1.0, data_seconds=0.0)
        for _ in range(3)
    ]
    assert told == [True, False, True]


def test_memory_is_what_the_process_holds() -> None:
    def memory() -> float:
        values = telemetry().of_step(num_tokens=1, seconds=1.0, data_seconds=0.0)
        return values["system/memory_bytes"]

    before = memory()
    held = torch.ones(2**24)  # 64 MiB
    assert memory() - before > 0.9 * held.nbytes


def test_energy_is_told_since_it_was_last_told() -> None:
    watched = telemetry(meter=[1000.0, 1060.0, 1200.0], times=[0.0, 2.0, 12.0])
    steps = [watched.of_step(num_tokens=1, seconds=1.0, data_seconds=0.0) for _ in range(2)]
    assert [step["system/energy_joules"] for step in steps] == [60.0, 140.0]
    assert [step["system/power_watts"] for step in steps] == [30.0, 14.0]


def test_device_that_tells_no_energy_has_none() -> None:
    values = telemetry().of_step(num_tokens=1, seconds=1.0, data_seconds=0.0)
    assert not {"system/energy_joules", "system/power_watts"} & set(values)


def package(folder: Path, *, energy: int, full: int = 10_000_000) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{full}\n")
    return folder


def test_processors_energy_is_added_up_over_packages_and_wraps_of_their_counters(
    tmp_path: Path,
) -> None:
    one = package(tmp_path / "intel-rapl:0", energy=9_000_000)
    two = package(tmp_path / "intel-rapl:1", energy=1_000_000)
    package(tmp_path / "intel-rapl:0:0", energy=5)  # a part of the first
    meter = powercap_meter(tmp_path)
    assert isinstance(meter, PowercapMeter)
    assert meter() == 0.0
    package(one, energy=500_000)  # has begun again at zero
    package(two, energy=3_000_000)
    assert meter() == pytest.approx(1.5 + 2.0)
    assert meter() == pytest.approx(3.5)


def test_machine_without_counters_or_with_unreadable_ones_has_no_meter(tmp_path: Path) -> None:
    assert powercap_meter(tmp_path) is None
    assert powercap_meter(tmp_path / "absent") is None
    (tmp_path / "intel-rapl:0").mkdir()
    assert powercap_meter(tmp_path) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU that tells it")
def test_graphics_processor_that_cannot_be_asked_has_no_meter() -> None:
    assert nvml_meter(torch.device("cuda")) is None


def test_peak_is_measured_once_and_moves_no_random_number() -> None:
    state = torch.get_rng_state()
    peak = measured_peak(CPU, torch.float32, threads=torch.get_num_threads())
    assert peak > 1e8
    assert measured_peak(CPU, torch.float32, threads=torch.get_num_threads()) == peak
    assert torch.equal(torch.get_rng_state(), state)
