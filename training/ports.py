"""Where the engine talks outward: progress out, the stop signal in.

The engine knows neither a database nor HTTP. Whoever runs it passes a :class:`Reporter` and a
:class:`StopSignal`; the do-nothing versions serve tests and plain local use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from core.lifecycle import StopReason

Phase = Literal["preparing", "training", "evaluating", "saving", "recovering"]


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a decoder wrote after a fixed prompt."""

    prompt: str
    text: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may stand in a gap, with its probability."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Filling:
    """What a model put into the gaps of a fixed sentence."""

    blank: str
    """The sentence with its gaps as ``____``."""
    text: str
    """The sentence with the best candidate in each gap."""
    candidates: Sequence[Sequence[Candidate]]
    """For each gap, the likeliest words, best first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the engine decided before its first step; told once an attempt."""

    num_steps: int | None
    """None if only the clock limits the budget."""
    num_parameters: int
    tokens_per_step: int
    flops_per_token: int
    execution: Mapping[str, Any]
    """Device, precision, micro-batch, threads: everything chosen by what the machine is."""


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """A whole checkpoint directory that will not change any more."""

    path: Path
    step: int
    tokens: int
    metrics: Mapping[str, float]


class Reporter(Protocol):
    """Hears what the engine does, as it happens."""

    def planned(self, plan: Plan) -> None:
        """The model is built and the number of steps known."""
        ...

    def phase(self, phase: Phase) -> None:
        """The engine turned to something else."""
        ...

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """New values after ``step`` steps and ``tokens`` tokens, such as ``train/loss``."""
        ...

    def probed(
        self, *, step: int, continuations: Sequence[Continuation], fillings: Sequence[Filling]
    ) -> None:
        """What the model said to the fixed prompts and blanks at this evaluation."""
        ...

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        """A checkpoint is whole on disk; it must stay there until the next one is."""
        ...

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        """Something a user should know: a fallback that was chosen, a step that was skipped."""
        ...


class StopSignal(Protocol):
    """Asks the engine to stop at its next safe point."""

    def requested(self) -> StopReason | None:
        """Why to stop, or None to go on; read once a step, so it must be cheap."""
        ...


class SilentReporter:
    """A reporter that listens to nothing."""

    def planned(self, plan: Plan) -> None:
        """Ignore it."""

    def phase(self, phase: Phase) -> None:
        """Ignore it."""

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """Ignore it."""

    def probed(
        self, *, step: int, continuations: Sequence[Continuation], fillings: Sequence[Filling]
    ) -> None:
        """Ignore it."""

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        """Ignore it."""

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        """Ignore it."""


class NeverStop:
    """A stop signal that never comes."""

    def requested(self) -> StopReason | None:
        """None, always."""
        return None
