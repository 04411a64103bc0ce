"""Which process is which: an identity that survives the reuse of pids.

A pid alone says little: it is used again after a death, and every container counts its own. With
the start of the process, the boot of the machine and the pid namespace it names one process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

_PROC: Final = Path("/proc")
_START_FIELD: Final = 19
"""Where ``starttime`` stands behind the command's name in /proc/<pid>/stat (see proc(5))."""
_STATE_FIELD: Final = 0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process of some machine, for as long as records are kept."""

    host: str
    pid: int
    started: float
    """Seconds after the boot, which no setting of the clock moves; 0.0 where nobody tells."""
    boot_id: str
    """The boot of the machine and the pid namespace; empty where the system does not tell."""

    @classmethod
    def of(cls, pid: int) -> Self:
        """The identity of a running process of this host."""
        return cls(
            host=socket.gethostname(),
            pid=pid,
            started=_started(pid) or 0.0,
            boot_id=_boot_id(),
        )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read what :meth:`as_json` wrote."""
        return cls(**value)

    def as_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    @property
    def is_local(self) -> bool:
        """Whether this host can tell if the process lives."""
        return bool(self.boot_id) and (self.host, self.boot_id) == (
            socket.gethostname(),
            _boot_id(),
        )

    @property
    def is_known_dead(self) -> bool:
        """Whether the process certainly runs no more; False where this host cannot tell."""
        if self.host == socket.gethostname() and self.boot_id and not self.is_local:
            return self.boot_id.partition("/")[0] != _boot_id().partition("/")[0]
        return self.is_local and not self._runs()

    def kill_group(self) -> None:
        """Kill the process group that the process leads, if it still is that process."""
        if self.is_local and self._runs():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _runs(self) -> bool:
        return _started(self.pid) == self.started


def _started(pid: int) -> float | None:
    """When a running process started, in seconds after the boot; None if it runs no more."""
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if fields[_STATE_FIELD] in {b"Z", b"X"}:  # dead, only not yet waited for
        return None
    return int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")


@functools.cache
def _boot_id() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return ""
