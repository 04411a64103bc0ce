"""What both sides of the quality benchmark are given.

Imported in the peer's own virtual environment: needs the standard library alone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class QualityCase:
    """A model, its text and how long to train it."""

    directory: str
    """Holds ``dataset`` (token shards) and ``windows.pt`` (the same text, ``(N, T)``)."""
    out: str
    """Where the weights go, as ``model.safetensors``."""
    shape: dict[str, Any]
    """As in a job's spec."""
    config: dict[str, Any]
    """The same as ``transformers`` names it."""
    batch_tokens: int
    seconds: float
    """To train for; the schedule is fitted to them."""
    learning_rate: float
    seed: int
    precision: str
    """``fp32`` or ``bf16``."""
    compiled: bool
    threads: int

    @property
    def sequences_per_step(self) -> int:
        """Windows of a step."""
        return self.batch_tokens // int(self.shape["context_length"])


def read_case() -> QualityCase:
    """The case in the file that the command line names."""
    return QualityCase(**json.loads(Path(sys.argv[1]).read_text()))


def write_case(case: QualityCase, path: Path) -> None:
    """For :func:`read_case`."""
    path.write_text(json.dumps(asdict(case)))


def answer(*, seconds: float, num_steps: int, **more: object) -> None:
    """Write how long training took, compiling counted, and whatever else is worth keeping."""
    Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "num_steps": num_steps, **more}))
