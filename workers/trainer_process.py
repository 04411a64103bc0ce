"""``python -m workers.trainer_process DIRECTORY``: the engine in a process of its own.

Knows files and pipes alone. The only process of the service that has torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.lifecycle import ExitCode, StopReason
from core.spec import JobSpec
from training.ports import StopSignal
from workers.adapters import Output
from workers.child_main import Task, run_child
from workers.faults import FAULT_VARIABLE, reporter_for


def perform(
    directory: Path, task: Task, output: Output, stop: StopSignal
) -> tuple[ExitCode, Mapping[str, Any]]:
    """Train the job that ``task`` describes, from its checkpoint or from the start."""
    # torch takes seconds to import; the frame must bind the process to its runner before.
    from training.build import train  # noqa: PLC0415
    from training.execution import Execution  # noqa: PLC0415

    resume, initial, settled = task["resume"], task["initial"], task["execution"]
    out = directory / "checkpoints"
    out.mkdir(exist_ok=True)
    reason = train(
        JobSpec.model_validate_json(task["spec"]),
        datasets=[Path(directory) for directory in task["datasets"]],
        out=out,
        resume=None if resume is None else Path(resume),
        initial=None if initial is None else Path(initial),
        execution=None if settled is None else Execution.from_json(settled),
        fence=task["fence"],
        reporter=reporter_for(output, fault=os.environ.get(FAULT_VARIABLE)),
        stop=stop,
        provenance=task["provenance"],
    )
    is_done = reason in (None, StopReason.EARLY_STOPPING)
    code = ExitCode.DONE if is_done else ExitCode.DRAINED
    return code, {"stopped_for": reason}


if __name__ == "__main__":
    sys.exit(run_child(perform))
