"""TensorBoard's event files, written beside the checkpoints while a job runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core import tensorboard
from training.ports import Continuation, Filling, Phase, Plan, Reporter, SavedCheckpoint


class EventFileReporter:
    """Passes everything on to another reporter, and writes metrics and probes to an event file.

    Each run writes a file of its own; TensorBoard reads the files of a folder one after the other
    and drops what a later one has done again.
    """

    def __init__(
        self, reporter: Reporter, directory: Path, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Begin a file.

        Args:
            reporter: Hears everything too.
            directory: Where the file goes.
            clock: Unix seconds.
        """
        self._reporter = reporter
        self._clock = clock
        now = clock()
        name = tensorboard.event_file_name(created_at=now, writer=str(os.getpid()))
        self._path = directory / name
        self._append(tensorboard.file_version(created_at=now))

    def planned(self, plan: Plan) -> None:
        """Pass it on."""
        self._reporter.planned(plan)

    def phase(self, phase: Phase) -> None:
        """Pass it on."""
        self._reporter.phase(phase)

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """Write them, and pass them on."""
        self._append(tensorboard.scalars(values, step=step, created_at=self._clock()))
        self._reporter.metrics(step=step, tokens=tokens, values=values)

    def probed(
        self, *, step: int, continuations: Sequence[Continuation], fillings: Sequence[Filling]
    ) -> None:
        """Write each answer under its question, and pass them on."""
        answers = [(continuation.prompt, continuation.text) for continuation in continuations]
        answers += [(filling.blank, filling.text) for filling in fillings]
        for given, made in answers:
            self._append(tensorboard.probe(given, made, step=step, created_at=self._clock()))
        self._reporter.probed(step=step, continuations=continuations, fillings=fillings)

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        """Pass it on."""
        self._reporter.checkpoint_saved(checkpoint)

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        """Pass it on."""
        self._reporter.notice(code=code, message=message, data=data)

    def _append(self, record: bytes) -> None:
        """At once, so that whoever watches sees it; a step takes far longer than this."""
        with self._path.open("ab") as file:
            file.write(record)
