"""The energy that a device has used, where it tells.

GPUs of NVIDIA tell it through NVML (https://docs.nvidia.com/deploy/nvml-api), whose Python binding
is the optional package ``nvidia-ml-py``; processors of Intel and AMD through Linux's powercap
(https://docs.kernel.org/power/powercap/powercap.html), which containers seldom see and which on
many machines only root may read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch

EnergyMeter = Callable[[], float]
"""Joules since any fixed moment; never falls."""

_POWERCAP: Final = Path("/sys/class/powercap")
_JOULES_PER_MICROJOULE: Final = 1e-6
_JOULES_PER_MILLIJOULE: Final = 1e-3


def energy_meter(device: torch.device, *, ranks: int) -> EnergyMeter | None:
    """The meter of what a job runs on; None where it has none that we may read.

    Args:
        device: Of one rank.
        ranks: How many there are. The GPUs are those of their numbers; a CPU is shared by all.
    """
    if device.type != "cuda":
        return powercap_meter()
    return sum_of([nvml_meter(torch.device("cuda", rank)) for rank in range(ranks)])


def sum_of(meters: Sequence[EnergyMeter | None]) -> EnergyMeter | None:
    """A meter of all that these measure; None if one is missing, since less would be told."""
    present = [meter for meter in meters if meter is not None]
    if len(present) < len(meters):
        return None
    return lambda: sum(meter() for meter in present)


class PowercapMeter:
    """Adds up what the processor packages of a machine have used, over the wraps of counters."""

    def __init__(self, packages: Sequence[Path]) -> None:
        """Read ``energy_uj`` and ``max_energy_range_uj`` of each folder.

        Raises:
            OSError: we may not read them.
            ValueError: they hold no numbers.
        """
        self._counters = [package / "energy_uj" for package in packages]
        self._ranges = [_number(package / "max_energy_range_uj") for package in packages]
        self._last = [_number(counter) for counter in self._counters]
        self._microjoules = 0

    def __call__(self) -> float:
        """Joules since the meter was made."""
        now = [_number(counter) for counter in self._counters]
        for before, after, full in zip(self._last, now, self._ranges, strict=True):
            self._microjoules += after - before + (full if after < before else 0)
        self._last = now
        return self._microjoules * _JOULES_PER_MICROJOULE


def powercap_meter(folder: Path = _POWERCAP) -> PowercapMeter | None:
    """The meter of this machine's processors, or None."""
    # a package is `intel-rapl:0`, on AMD too; its parts, `intel-rapl:0:1`, are in its sum already
    packages = sorted(path for path in folder.glob("intel-rapl:*") if path.name.count(":") == 1)
    try:
        return PowercapMeter(packages) if packages else None
    except (OSError, ValueError):
        return None


def nvml_meter(device: torch.device) -> EnergyMeter | None:
    """The meter of a GPU, or None: without the binding, or on a GPU older than Volta."""
    try:
        import pynvml  # noqa: PLC0415 - optional
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        # by its id: NVML counts the GPUs of the machine, torch those that the process sees
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return None
    return lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) * _JOULES_PER_MILLIJOULE


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
