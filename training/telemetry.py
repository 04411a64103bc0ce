"""What training costs: time, memory, energy, and how much of the device it uses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from training.energy import EnergyMeter, energy_meter
from training.execution import Execution
from training.peak import Peak, peak_of

SECONDS_BETWEEN_SAMPLES: Final = 10.0
"""Memory and power change slowly, and each value is a row in the database."""

_STATM: Final = Path("/proc/self/statm")


class Stopwatch:
    """Counts seconds on from what earlier attempts took."""

    def __init__(
        self, *, already_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start counting.

        Args:
            already_seconds: What was counted before.
            clock: Seconds from any fixed moment, never going back.
        """
        self._clock = clock
        self._started = clock() - already_seconds

    def seconds(self) -> float:
        """The seconds counted so far."""
        return self._clock() - self._started


class Telemetry:
    """Turns the times of steps into metrics, and looks at the machine now and then."""

    def __init__(
        self,
        *,
        peak: Peak,
        device: torch.device,
        ranks: int = 1,
        meter: EnergyMeter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with the energy that is used from now on.

        Args:
            peak: Of the device.
            device: Whose memory is looked at.
            ranks: How many devices of this kind share every step.
            meter: Tells the energy, where there is one.
            clock: Seconds from any fixed moment, never going back.
        """
        self._peak = peak
        self._device = device
        self._ranks = ranks
        self._meter = meter
        self._clock = clock
        self._sampled_at: float | None = None
        self._metered_at = clock()
        self._joules = 0.0 if meter is None else meter()

    @classmethod
    def of_execution(cls, execution: Execution) -> Telemetry:
        """Of a job that runs like this; measures the peak of the machine."""
        device = execution.torch_device
        return cls(
            peak=peak_of(device, execution.compute_dtype, threads=execution.threads),
            device=device,
            ranks=execution.ranks,
            meter=energy_meter(device, ranks=execution.ranks),
        )

    def of_step(
        self, *, num_tokens: int, num_flops: int, seconds: float, data_seconds: float
    ) -> dict[str, float]:
        """The metrics of a step.

        Args:
            num_tokens: Trained on in it.
            num_flops: Of the model's own arithmetic in it, on all ranks.
            seconds: What it took from its batch to its update, without evaluation and saving.
            data_seconds: Of these, what it waited for its batch.

        Returns:
            ``throughput/tokens_per_second``, ``throughput/step_seconds``,
            ``throughput/data_stall_seconds``; ``throughput/flops_utilization``, the share of the
            highest peak seen so far that the model's own arithmetic uses (MFU, arXiv 2204.02311),
            so nothing that is computed twice counts. Every ten seconds ``system/memory_bytes`` of
            the process as well, on a GPU ``system/device_memory_bytes``, its most so far, and where
            the device tells it ``system/energy_joules`` since they were last told and
            ``system/power_watts``, the mean over that time.
        """
        now = self._clock()
        sampled = {}
        if self._sampled_at is None or now - self._sampled_at >= SECONDS_BETWEEN_SAMPLES:
            sampled = self._memory() | self._energy(now)
            # not of a GPU: it is seldom shared, and may have no memory left for it
            if self._sampled_at is not None and self._device.type == "cpu":
                self._peak.look_again()
            self._sampled_at = now
        return {
            "throughput/tokens_per_second": num_tokens / seconds,
            "throughput/step_seconds": seconds,
            "throughput/data_stall_seconds": data_seconds,
            "throughput/flops_utilization": self._peak.share(num_flops / seconds / self._ranks),
            **sampled,
        }

    def _memory(self) -> dict[str, float]:
        values = {}
        if _STATM.exists():  # Linux
            pages = int(_STATM.read_text(encoding="ascii").split()[1])
            values["system/memory_bytes"] = float(pages * os.sysconf("SC_PAGE_SIZE"))
        if self._device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._device)
            values["system/device_memory_bytes"] = float(peak)
        return values

    def _energy(self, now: float) -> dict[str, float]:
        seconds = now - self._metered_at
        if self._meter is None or seconds <= 0:
            return {}
        joules = self._meter()
        used, self._joules, self._metered_at = joules - self._joules, joules, now
        return {"system/energy_joules": used, "system/power_watts": used / seconds}
