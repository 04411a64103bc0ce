from __future__ import annotations

import io
import os
import signal
import subprocess
import sys

import pytest

from core.lifecycle import ExitCode
from workers.adapters import Output, PipeReporter
from workers.failures import explain
from workers.faults import reporter_for

STRIKES = """
import sys
from workers.adapters import Output
from workers.faults import reporter_for

reporter_for(Output(sys.stdout.buffer), fault=sys.argv[1]).metrics(step=3, tokens=30, values={})
"""


def strike(kind: str) -> subprocess.Popen[bytes]:
    """A process whose reporter is told of the step that the fault waits for."""
    return subprocess.Popen([sys.executable, "-c", STRIKES, f"{kind}@3"], stdout=subprocess.PIPE)


def test_without_an_order_nothing_fails() -> None:
    for nothing in (None, ""):
        assert type(reporter_for(Output(io.BytesIO()), fault=nothing)) is PipeReporter


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("out_of_memory", ExitCode.OUT_OF_MEMORY),
        ("disk_full", ExitCode.DISK_FULL),
        ("diverge", ExitCode.DIVERGED),
        ("device_fault", ExitCode.DEVICE_FAULT),
    ],
)
def test_fault_strikes_once_its_step_is_told_and_not_before(kind: str, expected: ExitCode) -> None:
    said = io.BytesIO()
    reporter = reporter_for(Output(said), fault=f"{kind}@3")
    reporter.metrics(step=2, tokens=20, values={})
    with pytest.raises(Exception, match=r".") as raised:
        reporter.metrics(step=3, tokens=30, values={})
    assert explain(raised.value)[0] is expected
    assert said.getvalue().count(b"\n") == 2


def test_kill_is_a_real_signal() -> None:
    with strike("kill") as process:
        assert process.wait(timeout=30) == -signal.SIGKILL


def test_hang_never_ends_by_itself() -> None:
    with strike("hang") as process:
        assert process.stdout is not None
        assert b'"step":3' in process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.3)
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("order", ["kill", "kill@", "kill@-1", "boom@3", "@3"])
def test_order_that_is_none_is_refused(order: str) -> None:
    with pytest.raises(ValueError, match="kind@step"):
        reporter_for(Output(io.BytesIO()), fault=order)
