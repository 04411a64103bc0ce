"""Starts child processes, starts them again when they die, and stops them in order.

The parent is a single thread that sleeps in :meth:`SignalInbox.wait`; everything below is called
from there, so nothing needs a lock.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Final

from cli import log_files, signals
from cli.console import say
from cli.leftovers import record
from cli.signals import SignalInbox
from core.processes import ProcessIdentity
from workers.lifeline import PARENT_VARIABLE, die_with_parent

_TICK_SECONDS: Final = 0.25
_HEALTHY_SECONDS: Final = 10.0
"""A process that lived so long has started well: its next death is the first of a new row."""
_LONGEST_BACK_OFF_SECONDS: Final = 10.0
_DEATHS_OF_A_FALSE_START: Final = 3


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """A process to keep running."""

    name: str
    command: tuple[str, ...]
    stop_seconds: float
    """How long it may take to end after SIGTERM."""
    inherited_fds: tuple[int, ...] = ()


class FalseStart(Exception):
    """A process kept dying before the service was ready; its log says why."""

    def __init__(self, child: str, log: Path) -> None:
        super().__init__(f"{child} does not start; the end of {log}:")
        self.log = log


class _Child:
    def __init__(self, spec: ChildSpec, *, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.identity: ProcessIdentity | None = None
        self.num_deaths_in_a_row = 0
        self.start_again_at = 0.0
        self._started_at = 0.0

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *, cwd: Path, environment: Mapping[str, str]) -> None:
        parent = os.getpid()

        def prepare() -> None:
            die_with_parent()
            if os.getppid() != parent:  # it died before the line above could take effect
                os._exit(128 + SIGKILL)
            signals.unblock()

        log_fd = log_files.open_log(self.log)
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own command lines
                self.spec.command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log_fd,
                stderr=log_fd,
                pass_fds=self.spec.inherited_fds,
                start_new_session=True,  # the terminal's Ctrl-C is for the parent alone
                preexec_fn=prepare,  # noqa: PLW1509 - safe here: the parent has one thread
            )
        finally:
            os.close(log_fd)
        self.identity = ProcessIdentity.of(self.process.pid)
        self._started_at = time.monotonic()

    def note_death(self) -> float:
        """How many seconds to wait before the next start: none at first, then ever longer."""
        now = time.monotonic()
        was_healthy = now - self._started_at >= _HEALTHY_SECONDS
        self.num_deaths_in_a_row = 1 if was_healthy else self.num_deaths_in_a_row + 1
        back_off = 0.0
        if self.num_deaths_in_a_row > 1:
            back_off = min(_LONGEST_BACK_OFF_SECONDS, 0.5 * 2 ** (self.num_deaths_in_a_row - 2))
        self.process = None
        self.identity = None
        self.start_again_at = now + back_off
        return back_off

    def send(self, what: Signals) -> None:
        if self.process is not None:
            self.process.send_signal(what)

    def kill(self) -> None:
        """At once, with everything in its process group."""
        if self.identity is not None:
            self.identity.kill_group()
        if self.process is not None:
            self.process.wait()


class Supervisor:
    """Keeps a service's processes running until it is told to stop.

    Args:
        inbox: Where signals to stop arrive.
        data_dir: Working directory of the children; their logs are in its ``logs``.
        environment: What every child gets.
    """

    def __init__(
        self, inbox: SignalInbox, *, data_dir: Path, environment: Mapping[str, str]
    ) -> None:
        self._inbox = inbox
        self._data_dir = data_dir
        self._environment = {
            name: value for name, value in environment.items() if name != PARENT_VARIABLE
        }
        self._children: list[_Child] = []

    def start(self, spec: ChildSpec) -> None:
        """Start a process and keep it running from now on."""
        child = _Child(spec, log=self._data_dir / "logs" / f"{spec.name}.log")
        self._children.append(child)
        self._start(child)

    def run_once(self, name: str, command: Sequence[str]) -> None:
        """Run a process to its end.

        Raises:
            FalseStart: it failed.
        """
        spec = ChildSpec(name=name, command=tuple(command), stop_seconds=0)
        child = _Child(spec, log=self._data_dir / "logs" / f"{name}.log")
        child.start(cwd=self._data_dir, environment=self._environment)
        assert child.process is not None
        if child.process.wait() != 0:
            raise FalseStart(name, child.log)

    def watch(self, *, until: Callable[[], bool], is_starting: bool) -> Signals | None:
        """Keep everything running until ``until()`` or a signal to stop, which is returned.

        Raises:
            FalseStart: while ``is_starting``, a process died again and again.
        """
        while not until():
            received = self._inbox.wait(_TICK_SECONDS)
            if received is not None:
                return received
            for child in self._children:
                self._revive(child, is_starting=is_starting)
                log_files.cap(child.log)
        return None

    def stop(self, *, groups: Sequence[Sequence[str]]) -> bool:
        """Stop the named groups one after the other, asking first.

        Another signal to stop, or a process that outstays its time, means killing. Returns whether
        everything ended by itself.
        """
        patient = True
        for names in groups:
            group = [child for child in self._children if child.spec.name in names and child.runs]
            if patient:
                patient = self._ask_to_end(group)
            for child in group:
                if child.runs:
                    say(child.spec.name, "killed")
                    child.kill()
        record(self._data_dir, {})
        return patient

    def _ask_to_end(self, group: Sequence[_Child]) -> bool:
        begun_at = time.monotonic()
        for child in group:
            say(child.spec.name, "stopping")
            child.send(SIGTERM)
        while running := [child for child in group if child.runs]:
            if all(time.monotonic() - begun_at > child.spec.stop_seconds for child in running):
                return True  # only these are killed; the others are still asked
            if self._inbox.wait(_TICK_SECONDS) is not None:
                say("pretrainer", "asked again to stop: killing what still runs")
                return False
        return True

    def _start(self, child: _Child) -> None:
        child.start(cwd=self._data_dir, environment=self._environment)
        assert child.process is not None
        say(child.spec.name, f"started (process {child.process.pid})")
        self._record()

    def _revive(self, child: _Child, *, is_starting: bool) -> None:
        if child.process is not None and (code := child.process.poll()) is not None:
            _kill_orphans_of(child.process.pid)
            back_off = child.note_death()
            if is_starting and child.num_deaths_in_a_row >= _DEATHS_OF_A_FALSE_START:
                raise FalseStart(child.spec.name, child.log)
            again = f"in {back_off:g} s" if back_off else "at once"
            say(child.spec.name, f"{_how_it_ended(code)}; starting again {again} ({child.log})")
        if child.process is None and time.monotonic() >= child.start_again_at:
            self._start(child)

    def _record(self) -> None:
        record(
            self._data_dir,
            {child.spec.name: child.identity for child in self._children if child.identity},
        )


def _kill_orphans_of(group: int) -> None:
    """Kill what a dead process left in its group.

    The group's number cannot have been given to another while a member of it lives.
    """
    try:
        os.killpg(group, SIGKILL)
    except ProcessLookupError:
        return


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {Signals(-code).name}"
    return f"ended with exit code {code}"
