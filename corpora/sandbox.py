"""Limited child processes for libraries that hostile data can crash, stall or fill with memory.

A child is ``python -m MODULE``, never a fork. It takes away from itself what it does not need
before it reads a byte: memory beyond a limit, processor time beyond a limit for each answer, files
to write, cores to dump. It ends with its parent. The two exchange frames: eight bytes of length,
then that many bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Final, Self

_LENGTH = struct.Struct("<Q")
_READ_BYTES: Final = 2**20
_PR_SET_PDEATHSIG: Final = 1
_PARENT_VARIABLE: Final = "PRETRAINER_SANDBOX_PARENT"
_LIMITS_VARIABLE: Final = "PRETRAINER_SANDBOX_LIMITS"
_PRELOAD_VARIABLE: Final = "LD_PRELOAD"
"""Not inherited: the workers' allocator reserves more addresses than a child may have."""
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS")


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What a child may use."""

    memory_bytes: int = 2**30
    """Of address space, the interpreter and its libraries included."""
    cpu_seconds: int = 20
    """Of processor time, for each answer: it does not depend on how busy the machine is."""
    wall_seconds: float = 600.0
    """For each answer, should a child hang without computing."""
    frame_bytes: int = 2**28


DEFAULT_LIMITS = SandboxLimits()


class SandboxDied(Exception):
    """The child has ended, by its limits, by a crash or by itself, or was ended for its silence."""


class Sandbox:
    """The parent's side of a child; a context manager that leaves none behind."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        file: IO[bytes] | None = None,
        limits: SandboxLimits = DEFAULT_LIMITS,
    ) -> None:
        """Start ``python -m module arguments``.

        Args:
            module: calls :func:`enter_sandbox` first thing.
            arguments: of its command line; never user data, which belongs into frames.
            file: an open file that it may read; its descriptor is then its first argument.
            limits: what it may use.
        """
        self._limits = limits
        passed = () if file is None else (file.fileno(),)
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", module, *map(str, passed), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=passed,
            env={
                **{name: value for name, value in os.environ.items() if name != _PRELOAD_VARIABLE},
                **dict.fromkeys(_THREAD_VARIABLES, "1"),
                _PARENT_VARIABLE: str(os.getpid()),
                _LIMITS_VARIABLE: f"{limits.memory_bytes} {limits.cpu_seconds}",
            },
        )
        assert self._process.stdin is not None  # pipes, see above
        assert self._process.stdout is not None
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)

    def __enter__(self) -> Self:
        """Nothing more: it runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child."""
        self.close()

    def send(self, frame: bytes) -> None:
        """Give the child a frame.

        Raises:
            SandboxDied: it is not there to take it.
        """
        deadline = time.monotonic() + self._limits.wall_seconds
        data = memoryview(_LENGTH.pack(len(frame)) + frame)
        while data:
            self._wait([], [self._input], deadline)
            try:
                data = data[os.write(self._input, data[:_READ_BYTES]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._died() from error

    def receive(self) -> bytes:
        """The child's next frame.

        Raises:
            SandboxDied: there is none in time, none of an allowed length, or the child has ended.
        """
        deadline = time.monotonic() + self._limits.wall_seconds
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        if length > self._limits.frame_bytes:
            raise self._died()
        return self._read(length, deadline)

    def close(self) -> None:
        """End the child if it still runs, and forget it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None  # see above
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.wait()

    def _read(self, num_bytes: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < num_bytes:
            self._wait([self._output], [], deadline)
            try:
                piece = os.read(self._output, min(_READ_BYTES, num_bytes - len(data)))
            except BlockingIOError:
                continue
            if not piece:
                raise self._died()
            data += piece
        return bytes(data)

    def _wait(self, readable: Sequence[int], writable: Sequence[int], deadline: float) -> None:
        """Until a pipe can be used."""
        poll = select.poll()  # select itself knows no descriptor beyond 1023
        for descriptor in readable:
            poll.register(descriptor, select.POLLIN)
        for descriptor in writable:
            poll.register(descriptor, select.POLLOUT)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise self._died()

    def _died(self) -> SandboxDied:
        self._process.kill()
        code = self._process.wait()
        return SandboxDied(f"the child process ended with {code}")


class Confinement:
    """The child's side: its limits, and the frames."""

    def __init__(self) -> None:
        """Give up what is not needed; called before anything is read.

        The limits come through the environment, the frames through standard input and output.
        """
        _die_with_parent()
        memory_bytes, self._cpu_seconds = map(int, os.environ[_LIMITS_VARIABLE].split())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        self._input = os.fdopen(os.dup(0), "rb")
        self._output = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what a library prints is no frame
        self.begin_answer()

    def begin_answer(self) -> None:
        """From here on the next answer's processor time is counted."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = math.ceil(usage.ru_utime + usage.ru_stime)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (used + self._cpu_seconds, hard))

    def receive(self) -> bytes | None:
        """The parent's next frame; None when there are no more."""
        header = self._input.read(_LENGTH.size)
        if len(header) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack(header)
        self.begin_answer()
        return self._input.read(length)

    def send(self, *parts: bytes) -> None:
        """Give the parent a frame made of ``parts``."""
        self._output.write(_LENGTH.pack(sum(map(len, parts))))
        for part in parts:
            self._output.write(part)
        self._output.flush()
        self.begin_answer()


def _die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(os.environ[_PARENT_VARIABLE]):
        os._exit(128 + signal.SIGKILL)
