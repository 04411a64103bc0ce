"""What every side of the training benchmark is given, and what it answers.

Imported in the peers' own virtual environments: needs torch alone.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

_PEAK_SIZE = {"cpu": 1024, "cuda": 8192}
_PEAK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Case:
    """A model, its text and how long to train it."""

    directory: str
    """Holds ``dataset`` (token shards), ``windows.pt`` (the same tokens, ``(N, T + 1)``) and
    ``tokenizer.json``."""
    shape: dict[str, Any]
    """As in a job's spec."""
    config: dict[str, Any]
    """The same as ``transformers`` names it."""
    batch_tokens: int
    num_steps: int
    num_warmup_steps: int
    """Of these, the first that are not counted."""
    precision: str
    """``fp32`` or ``bf16``."""
    compiled: bool
    threads: int

    @property
    def sequences_per_step(self) -> int:
        """Windows of a step."""
        return self.batch_tokens // int(self.shape["context_length"])


def read_case() -> Case:
    """The case in the file that the command line names."""
    return Case(**json.loads(Path(sys.argv[1]).read_text()))


def write_case(case: Case, path: Path) -> None:
    """For :func:`read_case`."""
    path.write_text(json.dumps(asdict(case)))


def answer(case: Case, ended_at: list[float], **more: object) -> None:
    """Write the seconds of each counted step, and the machine's peak of this very minute.

    Args:
        case: As it was given.
        ended_at: When training began and when each step ended.
        more: Anything else worth keeping.
    """
    seconds = [later - earlier for earlier, later in pairwise(ended_at)]
    result = {
        "step_seconds": seconds[case.num_warmup_steps :],
        "first_step_seconds": seconds[0],
        "peak_flops": peak_flops(case.precision),
        **more,
    }
    Path(sys.argv[2]).write_text(json.dumps(result))


def peak_flops(precision: str) -> float:
    """Operations a second of the fastest product of two square matrices."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    size = _PEAK_SIZE[device]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    fastest, until = float("inf"), time.perf_counter() + _PEAK_SECONDS
    while time.perf_counter() < until:
        started = time.perf_counter()
        torch.mm(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest
