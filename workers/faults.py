"""Faults on demand: with ``PRETRAINER_FAULT=kind@step`` a trainer fails after that step.

Off unless the variable is set. Tests and drills use it to see what happens *after* a failure, so
the failure itself is as real as can be: the system's own signal, the allocator's own error.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from core.errors import Diverged
from workers.adapters import Output, PipeReporter

FAULT_VARIABLE: Final = "PRETRAINER_FAULT"
_MORE_THAN_ANY_MACHINE_HAS: Final = 1 << 60


class FaultyReporter(PipeReporter):
    """Passes everything on; once the metrics of a step are told, the fault strikes."""

    def __init__(self, output: Output, *, strike: Callable[[], None], step: int) -> None:
        super().__init__(output)
        self._strike = strike
        self._step = step

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """Send them, and fail if it is the step to fail at."""
        super().metrics(step=step, tokens=tokens, values=values)
        if step == self._step:
            self._strike()


def reporter_for(output: Output, *, fault: str | None) -> PipeReporter:
    """A reporter that writes to ``output``, and fails if ``fault`` orders it as ``kind@step``.

    Raises:
        ValueError: this is no order for a fault.
    """
    if not fault:
        return PipeReporter(output)
    kind, _, step = fault.partition("@")
    if kind not in _STRIKES or not step.isdecimal():
        kinds = ", ".join(_STRIKES)
        raise ValueError(f"{FAULT_VARIABLE} is {fault!r}, not kind@step with a kind of {kinds}")
    return FaultyReporter(output, strike=_STRIKES[kind], step=int(step))


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _run_out_of_memory() -> None:
    import torch  # noqa: PLC0415 - the trainer has it by now; who reads this module may not

    torch.empty(_MORE_THAN_ANY_MACHINE_HAS, dtype=torch.uint8)


def _fill_the_disk() -> None:
    Path("/dev/full").write_bytes(b"\0")


def _diverge() -> None:
    raise Diverged("The loss is nan, because this fault was asked for.")


def _break_the_device() -> None:
    raise RuntimeError("CUDA error: unspecified launch failure")


def _hang() -> None:
    while True:
        time.sleep(60)


_STRIKES: Final[Mapping[str, Callable[[], None]]] = {
    "kill": _kill,
    "out_of_memory": _run_out_of_memory,
    "disk_full": _fill_the_disk,
    "diverge": _diverge,
    "device_fault": _break_the_device,
    "hang": _hang,
}
