"""A run in MLflow, for those who keep their experiments there.

Needs the optional package ``mlflow-skinny`` (the extra ``mlflow``); imported only when asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from core.errors import InvalidRequest
from core.spec import JobSpec
from training.ports import Continuation, Filling, Phase, Plan, Reporter, SavedCheckpoint

_EXPERIMENT: Final = "pretrainer"
_MOST_AT_ONCE: Final = 1000
"""Metrics that MLflow takes in one request."""
_SECONDS_BETWEEN_WRITES: Final = 5.0
_LONGEST_PARAMETER: Final = 500


class MlflowReporter:
    """Passes everything on to another reporter, and writes metrics and probes to an MLflow run.

    The run begins and ends with the ``with`` block. A server that is away ends the training as
    any other error of a reporter does: whoever asked for the record does not want half of it.
    """

    def __init__(
        self,
        reporter: Reporter,
        *,
        uri: str,
        artifacts: Path,
        spec: JobSpec,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin a run in the experiment ``pretrainer``.

        Args:
            reporter: Hears everything too.
            uri: Of the tracking server or database, such as ``http://host:5000`` or
                ``sqlite:///mlflow.db``.
            artifacts: Where a new experiment in a database keeps its files.
            spec: Its fields are the run's parameters.
            clock: Unix seconds.

        Raises:
            InvalidRequest: the package is not installed.
        """
        try:
            from mlflow import MlflowClient, entities  # noqa: PLC0415 - optional, and slow to load
        except ImportError:
            raise InvalidRequest(
                "--mlflow needs the package mlflow-skinny: pip install 'pretrainer[mlflow]'"
            ) from None
        self._reporter = reporter
        self._clock = clock
        self._metric = entities.Metric
        self._client = MlflowClient(tracking_uri=uri)
        known = self._client.get_experiment_by_name(_EXPERIMENT)
        is_served = uri.startswith(("http://", "https://"))
        experiment = (
            known.experiment_id
            if known is not None
            else self._client.create_experiment(
                _EXPERIMENT, artifact_location=None if is_served else artifacts.absolute().as_uri()
            )
        )
        self._run: str = self._client.create_run(experiment).info.run_id
        parameters = [
            entities.Param(name, value[:_LONGEST_PARAMETER])
            for name, value in _flat(spec.model_dump(mode="json"))
        ]
        self._client.log_batch(self._run, params=parameters)
        self._waiting: list[Any] = []
        self._written_at = clock()

    def __enter__(self) -> Self:
        """The run has begun already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what is left, and say how it ended."""
        del error, traceback
        self._write()
        self._client.set_terminated(self._run, "FINISHED" if kind is None else "FAILED")

    def planned(self, plan: Plan) -> None:
        """Pass it on."""
        self._reporter.planned(plan)

    def phase(self, phase: Phase) -> None:
        """Pass it on."""
        self._reporter.phase(phase)

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        """Write them, those of some seconds together, and pass them on."""
        now = self._clock()
        self._waiting += [
            self._metric(name, value, int(now * 1000), step) for name, value in values.items()
        ]
        if now - self._written_at >= _SECONDS_BETWEEN_WRITES:
            self._written_at = now
            self._write()
        self._reporter.metrics(step=step, tokens=tokens, values=values)

    def probed(
        self, *, step: int, continuations: Sequence[Continuation], fillings: Sequence[Filling]
    ) -> None:
        """Write them as one JSON file a step, and pass them on."""
        said = {
            **{continuation.prompt: continuation.text for continuation in continuations},
            **{filling.blank: filling.text for filling in fillings},
        }
        if said:
            self._client.log_dict(self._run, said, f"probes/step-{step:08d}.json")
        self._reporter.probed(step=step, continuations=continuations, fillings=fillings)

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        """Pass it on; checkpoints stay where they are."""
        self._reporter.checkpoint_saved(checkpoint)

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        """Pass it on."""
        self._reporter.notice(code=code, message=message, data=data)

    def _write(self) -> None:
        for first in range(0, len(self._waiting), _MOST_AT_ONCE):
            some = self._waiting[first : first + _MOST_AT_ONCE]
            self._client.log_batch(self._run, metrics=some)
        self._waiting = []


def _flat(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The leaves of nested objects, named by their paths: ``model.layers``."""
    leaves: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            leaves += _flat(value, f"{prefix}{name}.")
        else:
            leaves.append((f"{prefix}{name}", str(value)))
    return leaves
