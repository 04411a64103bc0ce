"""The engine's ports over pipes: reports go out as lines, the stop signal comes in as one."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from core.lifecycle import ExitCode, StopReason
from training.ports import Continuation, Filling, Phase, Plan, SavedCheckpoint
from workers.messages import (
    Assign,
    CheckpointSaved,
    Measured,
    Message,
    Noticed,
    PhaseChanged,
    Planned,
    Probed,
    Stop,
    decode_order,
    encode,
)


class Output:
    """The protocol's end of a pipe; whole lines, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Write one line."""
        line = encode(message)
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


def take_standard_output() -> Output:
    """Keep the standard output for the protocol; what anyone prints from now on goes to the log."""
    sys.stdout.flush()
    protocol = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return Output(protocol)


class PipeReporter:
    """A :class:`training.ports.Reporter` that writes lines."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def planned(self, plan: Plan) -> None:
        """Send it."""
        self._output.send(Planned(plan=plan))

    def phase(self, phase: Phase) -> None:
        """Send it."""
        self._output.send(PhaseChanged(phase=phase))

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """Send them."""
        self._output.send(Measured(step=step, tokens=tokens, values=values))

    def probed(
        self, *, step: int, continuations: Sequence[Continuation], fillings: Sequence[Filling]
    ) -> None:
        """Send them."""
        self._output.send(Probed(step=step, continuations=continuations, fillings=fillings))

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        """Send where it lies."""
        self._output.send(
            CheckpointSaved(
                path=str(checkpoint.path),
                step=checkpoint.step,
                tokens=checkpoint.tokens,
                metrics=checkpoint.metrics,
            )
        )

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        """Send it."""
        self._output.send(Noticed(code=code, message=message, data=data))


class PipeOrders:
    """What the runner orders through a pipe: to stop, or to do one more task.

    A :class:`training.ports.StopSignal` that a thread reads; a later order to stop replaces an
    earlier one. The end of the pipe means that the runner is gone; there is nobody left to report
    to, so the process ends at once.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._reason: StopReason | None = None
        self._tasks: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="orders", daemon=True)
        self._reader.start()

    def requested(self) -> StopReason | None:
        """Why to stop, or None to go on."""
        return self._reason

    def next_task(self) -> Mapping[str, Any]:
        """The next task, as soon as there is one."""
        return self._tasks.get()

    def _read(self) -> None:
        for line in self._stream:
            match decode_order(line):
                case Stop(reason=reason):
                    self._reason = reason
                case Assign(task=task):
                    self._tasks.put(task)
        os._exit(ExitCode.INTERNAL)
