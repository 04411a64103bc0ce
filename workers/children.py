"""Child processes of a runner: started, listened to, and never left behind.

A child leads its own process group, so that what it starts dies with it. Its standard output is
the protocol of ``workers.messages``, its standard error the log of the attempt.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from core.lifecycle import StopReason
from core.processes import ProcessIdentity
from workers.lifeline import PARENT_VARIABLE
from workers.messages import Assign, FromChild, Stop, decode, encode

TASK_FILE: Final = "task.json"
_IDENTITY_FILE: Final = "child.json"
_PRELOAD_VARIABLE: Final = "LD_PRELOAD"
_WAIT_VARIABLES: Final = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
_SPINS: Final = "10000"
_KERNELS_VARIABLE: Final = "TORCHINDUCTOR_CACHE_DIR"
_ALLOCATOR: Final = "cmeel.prefix/lib/libmimalloc.so"
_DUMP_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class Child:
    """A running child process.

    Made by the runner's main thread and from no other: the kernel kills a child when the *thread*
    that started it ends.
    """

    def __init__(
        self,
        module: str,
        directory: Path,
        *,
        task: Mapping[str, Any],
        log: Path,
        nice: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``python -m module directory``, which finds ``task`` in ``directory/task.json``."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / TASK_FILE).write_text(json.dumps(task))
        log.parent.mkdir(parents=True, exist_ok=True)
        inherited = {**os.environ, **(environment or {})}
        with log.open("ab") as log_file:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", module, str(directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env={**inherited, PARENT_VARIABLE: str(os.getpid())},
                process_group=0,
            )
        self.identity = ProcessIdentity.of(self._process.pid)
        (directory / _IDENTITY_FILE).write_text(json.dumps(self.identity.as_json()))
        if nice:
            with contextlib.suppress(OSError):  # already gone, or an administrator forbids it
                os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        self._messages: queue.SimpleQueue[FromChild | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, name="child-output", daemon=True)
        self._listener.start()

    def next_message(self, *, timeout_seconds: float) -> FromChild | None:
        """The child's next message; None when none came in time or the child has said its last."""
        try:
            message = self._messages.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        if message is None:
            self._messages.put(None)
        return message

    @property
    def is_silent(self) -> bool:
        """Whether the child has closed its output and everything it said has been taken."""
        return not self._listener.is_alive() and self._messages.qsize() <= 1

    def ask_to_stop(self, reason: StopReason) -> None:
        """Send the stop signal; a child that has ended already does not mind."""
        self._send(Stop(reason=reason))

    def assign(self, task: Mapping[str, Any]) -> None:
        """Give one more task to a child that has finished one; it may have ended meanwhile."""
        self._send(Assign(task=task))

    def kill(self) -> None:
        """Kill the child and everything it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill_with_stack(self) -> None:
        """Have the child write its stack to the log, then kill it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)  # faulthandler answers with the stack
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_DUMP_SECONDS)
        self.kill()

    def wait(self) -> int:
        """Wait for the end; the exit code, negative for a signal.

        What the child started and left running is killed.
        """
        code = self._process.wait()
        self.kill()
        self._listener.join()
        assert self._process.stdin is not None  # a pipe, see above
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        return code

    def _send(self, order: Stop | Assign) -> None:
        assert self._process.stdin is not None  # a pipe, see above
        with contextlib.suppress(OSError):
            self._process.stdin.write(encode(order))
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # a pipe, see above
        with self._process.stdout as lines:
            self._pass_on(lines)
        self._messages.put(None)

    def _pass_on(self, lines: IO[bytes]) -> None:
        for line in lines:
            try:
                message = decode(line)
            except ValueError:
                _log.warning("The child wrote a line that is no message: %.200r", line)
            else:
                self._messages.put(message)


def kill_leftovers(directory: Path) -> None:
    """Kill the children that earlier attempts left running under ``directory``.

    They outlive their runner only where the kernel could not kill them with it, or as members of
    a child's group.
    """
    for record in directory.glob(f"**/{_IDENTITY_FILE}"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            ProcessIdentity.from_json(json.loads(record.read_text())).kill_group()


def engine_environment(kernels: Path | None = None) -> dict[str, str]:
    """What a child that computes runs under, unless the operator has set it otherwise.

    Kernels that it compiles are kept in ``kernels``, for the jobs that come after it.

    Threads that wait for each other spin for some ten microseconds and then sleep. Where the
    trainer shares its cores, a thread that spins for long burns the time that its partner needs;
    one that sleeps at once wakes too late. The tiny encoder on two cores, idle and busy: sleeping
    9,400 and 3,700 tokens a second, this 13,200 and 5,900 (docs/log.md).
    """
    is_set = any(name in os.environ for name in _WAIT_VARIABLES)
    environment = allocator_environment() | ({} if is_set else {"GOMP_SPINCOUNT": _SPINS})
    if kernels is not None and _KERNELS_VARIABLE not in os.environ:
        environment[_KERNELS_VARIABLE] = str(kernels)
    return environment


def allocator_environment(search: Sequence[str] = tuple(sys.path)) -> dict[str, str]:
    """What preloads mimalloc, which makes training on CPU faster; nothing where it is missing."""
    if _PRELOAD_VARIABLE in os.environ:
        return {}
    for entry in search:
        library = Path(entry) / _ALLOCATOR
        if library.is_file():
            return {_PRELOAD_VARIABLE: str(library)}
    return {}
