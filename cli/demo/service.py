"""A service of the demonstration's own: `pretrainer up` on a free port."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cli.demo.failure import DemoFailed
from workers.lifeline import die_with_parent

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 180.0
_READY: Final = re.compile(r"^\S+ +ready +(http://\S+)", re.MULTILINE)


@contextmanager
def running_service(data_dir: Path, *, log: Path) -> Iterator[str]:
    """Run the service; gives its base URL, and stops it at the end.

    Raises:
        DemoFailed: it does not start, or does not stop cleanly.
    """
    command = [sys.executable, "-m", "cli", "up", "--port", "0", "--data-dir", str(data_dir)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the demonstration, which then stops the service
            preexec_fn=die_with_parent,  # noqa: PLW1509 - nothing else runs in this process yet
        )
    try:
        yield _wait_until_ready(process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
    if status != 0:
        raise DemoFailed(f"The service ended with status {status}: see {log}")


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        found = _READY.search(log.read_text())
        if found is not None:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise DemoFailed(f"The service did not start:\n{log.read_text()}")
