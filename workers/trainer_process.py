"""``python -m workers.trainer_process DIRECTORY``: the engine in a process of its own.

Knows files and pipes alone. The only process of the service that has torch. Of a job on several
devices it is one of the ranks; rank 0 starts the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.lifecycle import ExitCode, StopReason
from core.spec import JobSpec
from training.ports import Reporter, SilentReporter, StopSignal
from workers.adapters import Output
from workers.child_main import Task, run_child
from workers.faults import FAULT_VARIABLE, reporter_for
from workers.other_ranks import other_ranks


def perform(
    directory: Path, task: Task, output: Output, stop: StopSignal
) -> tuple[ExitCode, Mapping[str, Any]]:
    """Train the job that ``task`` describes, from its checkpoint or from the start."""
    spec = JobSpec.model_validate_json(task["spec"])
    if "rank" in task:
        return _train(spec, directory, task, SilentReporter(), stop)
    reporter = reporter_for(output, fault=os.environ.get(FAULT_VARIABLE))
    size = spec.resources.devices
    task = {**task, "rank": 0, "meeting": str(directory / "meeting")}
    with other_ranks("workers.trainer_process", directory, task=task, size=size, output=output):
        return _train(spec, directory, task, reporter, stop)


def _train(
    spec: JobSpec, directory: Path, task: Task, reporter: Reporter, stop: StopSignal
) -> tuple[ExitCode, Mapping[str, Any]]:
    # torch takes seconds to import; the frame must bind the process to its runner before.
    from training.build import train  # noqa: PLC0415
    from training.execution import Execution  # noqa: PLC0415
    from training.ranks import joined  # noqa: PLC0415

    resume, initial, settled = task["resume"], task["initial"], task["execution"]
    out = directory / "checkpoints"
    out.mkdir(exist_ok=True)
    size, meeting = spec.resources.devices, Path(task["meeting"])
    with joined(rank=task["rank"], size=size, meeting=meeting) as ranks:
        reason = train(
            spec,
            datasets=[Path(directory) for directory in task["datasets"]],
            out=out,
            resume=None if resume is None else Path(resume),
            initial=None if initial is None else Path(initial),
            execution=None if settled is None else Execution.from_json(settled),
            fence=task["fence"],
            reporter=reporter,
            stop=stop,
            provenance=task["provenance"],
            ranks=ranks,
        )
    is_done = reason in (None, StopReason.EARLY_STOPPING)
    code = ExitCode.DONE if is_done else ExitCode.DRAINED
    return code, {"stopped_for": reason}


if __name__ == "__main__":
    sys.exit(run_child(perform))
