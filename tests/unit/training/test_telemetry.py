from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from training.energy import PowercapMeter, nvml_meter, powercap_meter, sum_of
from training.peak import Peak, flops_of_products, peak_of
from training.telemetry import SECONDS_BETWEEN_SAMPLES, Stopwatch, Telemetry

CPU = torch.device("cpu")


def telemetry(
    *,
    meter: list[float] | None = None,
    times: list[float] | None = None,
    peaks: list[float] | None = None,
) -> Telemetry:
    looks = itertools.chain(peaks or [], itertools.repeat(2e6))
    readings = iter(meter or [])
    ticks = iter(times or itertools.count())
    return Telemetry(
        peak=Peak(lambda: next(looks)),
        device=CPU,
        meter=None if meter is None else lambda: next(readings),
        clock=lambda: float(next(ticks)),
    )


def a_step(watched: Telemetry, *, tokens_per_second: int = 1) -> dict[str, float]:
    """Its metrics, where a token takes 600 operations."""
    return watched.of_step(
        num_tokens=tokens_per_second,
        num_flops=600 * tokens_per_second,
        seconds=1.0,
        data_seconds=0.0,
    )


def test_a_stopwatch_counts_on_from_what_earlier_attempts_took() -> None:
    times = iter([100.0, 103.5])
    stopwatch = Stopwatch(already_seconds=20.0, clock=lambda: next(times))
    assert stopwatch.seconds() == 23.5


def test_utilization_is_the_share_of_the_peak_that_the_models_arithmetic_uses() -> None:
    values = telemetry().of_step(num_tokens=1000, num_flops=600_000, seconds=0.5, data_seconds=0.1)
    assert values["throughput/tokens_per_second"] == 2000
    assert values["throughput/step_seconds"] == 0.5
    assert values["throughput/data_stall_seconds"] == 0.1
    assert values["throughput/flops_utilization"] == pytest.approx(2000 * 600 / 2e6)


def utilization(watched: Telemetry, *, tokens_per_second: int) -> float:
    return a_step(watched, tokens_per_second=tokens_per_second)["throughput/flops_utilization"]


def test_a_step_that_beats_the_peak_becomes_the_peak() -> None:
    watched = telemetry(peaks=[0.6e6], times=[0.0, *([1.0] * 9)])
    assert utilization(watched, tokens_per_second=500) == pytest.approx(0.5)
    assert utilization(watched, tokens_per_second=4000) == 1.0
    assert utilization(watched, tokens_per_second=1000) == pytest.approx(0.25)


def test_a_peak_that_was_measured_while_others_worked_is_raised_by_a_later_look() -> None:
    times = [0.0, 1.0, *(1.0 + n * SECONDS_BETWEEN_SAMPLES for n in (1, 2))]
    watched = telemetry(peaks=[0.6e6, 1.2e6, 0.3e6], times=times)
    shares = [utilization(watched, tokens_per_second=500) for _ in range(3)]
    assert shares == pytest.approx([0.5, 0.25, 0.25])


def test_the_peak_of_ranks_is_that_of_all_their_devices() -> None:
    alone, one_of_four = (
        Telemetry(peak=Peak(lambda: 2e6), device=CPU, ranks=ranks) for ranks in (1, 4)
    )
    assert utilization(alone, tokens_per_second=1000) == pytest.approx(0.3)
    assert utilization(one_of_four, tokens_per_second=1000) == pytest.approx(0.075)


def test_machine_is_looked_at_now_and_then() -> None:
    times = [0.0, 1.0, 2.0, 1.0 + SECONDS_BETWEEN_SAMPLES]
    watched = telemetry(times=times)
    told = ["system/memory_bytes" in a_step(watched) for _ in range(3)]
    assert told == [True, False, True]


def test_memory_is_what_the_process_holds() -> None:
    def memory() -> float:
        values = a_step(telemetry())
        return values["system/memory_bytes"]

    before = memory()
    held = torch.ones(2**24)  # 64 MiB
    assert memory() - before > 0.9 * held.nbytes


def test_energy_is_told_since_it_was_last_told() -> None:
    watched = telemetry(meter=[1000.0, 1060.0, 1200.0], times=[0.0, 2.0, 12.0])
    steps = [a_step(watched) for _ in range(2)]
    assert [step["system/energy_joules"] for step in steps] == [60.0, 140.0]
    assert [step["system/power_watts"] for step in steps] == [30.0, 14.0]


def test_device_that_tells_no_energy_has_none() -> None:
    values = a_step(telemetry())
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


def test_energy_of_several_devices_is_their_sum_or_not_told() -> None:
    both = sum_of([lambda: 2.0, lambda: 3.0])
    assert both is not None
    assert both() == 5.0
    assert sum_of([lambda: 2.0, None]) is None


class BindingWithoutDriver(ModuleType):
    """``pynvml`` where no driver of NVIDIA is installed."""

    class NVMLError(Exception):
        """What every function of the binding raises."""

    def nvmlInit(self) -> None:  # noqa: N802 - its name
        raise self.NVMLError("NVML Shared Library Not Found")


@pytest.mark.parametrize("binding", [None, BindingWithoutDriver("pynvml")])
def test_graphics_processor_that_cannot_be_asked_has_no_meter(
    binding: ModuleType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", binding)  # None: it cannot be imported
    assert nvml_meter(torch.device("cuda")) is None


def test_looking_for_the_peak_moves_no_random_number() -> None:
    state = torch.get_rng_state()
    assert flops_of_products(CPU, torch.float32) > 1e8
    assert torch.equal(torch.get_rng_state(), state)


def test_jobs_of_a_process_share_what_is_known_about_its_peak() -> None:
    assert peak_of(CPU, torch.float32, threads=1) is peak_of(CPU, torch.float32, threads=1)
