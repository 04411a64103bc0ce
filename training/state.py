"""Where a training run stands: everything but weights and optimizer, as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from training.early_stopping import Patience
from training.execution import Execution
from training.guards import Guard
from training.ports import Candidate, Continuation, Filling

_HELD_OUT: Final = "validation/"
"""How the names of metrics begin that are measured at evaluations alone."""
_FORMER_NAMES: Final[Mapping[str, str]] = {"samples": "answers"}
"""What earlier versions called fields."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the model last said to the fixed prompts and blanks."""

    continuations: Sequence[Continuation] = ()
    fillings: Sequence[Filling] = ()


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a run stands after ``step`` steps.

    The loader is a pure function of seed and step, and the schedule of the step and the elapsed
    time, so neither has a state of its own.
    """

    execution: Execution
    step: int = 0
    tokens: int = 0
    elapsed_seconds: float = 0.0
    began_seconds: float = 0.0
    """What of them had passed when the first step began: a budget in seconds is fitted to the rest.
    """
    firm_step: int | None = 0
    """Of the weights that this run would go back to; None: an earlier version has not noted it."""
    evaluated_step: int | None = None
    """The step after which held-out text was last looked at."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The latest value of every metric that describes the weights."""
    answers: Answers = Answers()
    guard: Guard = field(default_factory=Guard)
    patience: Patience = field(default_factory=Patience)

    @property
    def is_evaluated(self) -> bool:
        """Whether held-out text was looked at after this very step."""
        return self.evaluated_step == self.step

    @property
    def measured(self) -> Mapping[str, float]:
        """The metrics of these very weights: held-out text may have been read with earlier ones."""
        if self.is_evaluated:
            return self.metrics
        return {
            name: value for name, value in self.metrics.items() if not name.startswith(_HELD_OUT)
        }

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``json.dumps``."""
        return asdict(self)

    @classmethod
    def from_json(cls, recorded: Mapping[str, Any]) -> TrainingState:
        """Read back what :meth:`to_json` wrote, now or before it had all of today's fields."""
        readers: Mapping[str, Callable[[Any], Any]] = {
            "execution": Execution.from_json,
            "answers": _answers,
            "guard": Guard.from_json,
            "patience": Patience.from_json,
        }
        return cls(
            **{
                name: readers[name](value) if name in readers else value
                for name, value in {"firm_step": None, **_by_their_names_now(recorded)}.items()
            }
        )


def _by_their_names_now(recorded: Mapping[str, Any]) -> dict[str, Any]:
    return {_FORMER_NAMES.get(name, name): value for name, value in recorded.items()}


def _answers(recorded: Mapping[str, Any]) -> Answers:
    return Answers(
        continuations=[Continuation(**item) for item in recorded["continuations"]],
        fillings=[
            Filling(
                blank=item["blank"],
                text=item["text"],
                candidates=[
                    [Candidate(**candidate) for candidate in gap] for gap in item["candidates"]
                ],
            )
            for item in recorded["fillings"]
        ],
    )
