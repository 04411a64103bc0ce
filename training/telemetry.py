"""What training costs: time, memory, energy, and how much of the device it uses."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from core.sizing import flops_per_token
from core.spec import ModelShape
from training.energy import EnergyMeter, energy_meter
from training.execution import Execution
from training.peak import measured_peak

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
        flops_per_token: int,
        peak_flops: float,
        device: torch.device,
        meter: EnergyMeter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with the energy that is used from now on.

        Args:
            flops_per_token: To train on one token.
            peak_flops: Floating-point operations a second that the device can do.
            device: Whose memory is looked at.
            meter: Tells the energy, where there is one.
            clock: Seconds from any fixed moment, never going back.
        """
        self._flops_per_token = flops_per_token
        self._peak_flops = peak_flops
        self._device = device
        self._meter = meter
        self._clock = clock
        self._sampled_at: float | None = None
        self._metered_at = clock()
        self._joules = 0.0 if meter is None else meter()

    @classmethod
    def of_job(cls, shape: ModelShape, *, execution: Execution) -> Telemetry:
        """Of a model on this machine; measures the machine's peak."""
        device = execution.torch_device
        peak = measured_peak(device, execution.compute_dtype, threads=execution.threads)
        return cls(
            flops_per_token=flops_per_token(shape),
            peak_flops=peak,
            device=device,
            meter=energy_meter(device),
        )

    def of_step(self, *, num_tokens: int, seconds: float, data_seconds: float) -> dict[str, float]:
        """The metrics of a step.

        Args:
            num_tokens: Trained on in it.
            seconds: What it took from its batch to its update, without evaluation and saving.
            data_seconds: Of these, what it waited for its batch.

        Returns:
            ``throughput/tokens_per_second``, ``throughput/step_seconds``,
            ``throughput/data_stall_seconds``; ``throughput/flops_utilization``, the share of the
            measured peak that the model's own arithmetic uses (MFU, arXiv 2204.02311), so nothing
            that is computed twice counts. Every ten seconds ``system/memory_bytes`` of the process
            as well, on a GPU ``system/device_memory_bytes``, its most so far, and where the device
            tells it ``system/energy_joules`` since they were last told and ``system/power_watts``,
            the mean over that time.
        """
        speed = num_tokens / seconds
        values = {
            "throughput/tokens_per_second": speed,
            "throughput/step_seconds": seconds,
            "throughput/data_stall_seconds": data_seconds,
            "throughput/flops_utilization": speed * self._flops_per_token / self._peak_flops,
        }
        now = self._clock()
        if self._sampled_at is None or now - self._sampled_at >= SECONDS_BETWEEN_SAMPLES:
            self._sampled_at = now
            values |= self._memory() | self._energy(now)
        return values

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
