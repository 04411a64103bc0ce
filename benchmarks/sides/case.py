"""What every side of a benchmark of training is given, and how it answers.

Imported in the peers' own virtual environments: needs the standard library alone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model and its text."""

    directory: str
    """Holds ``dataset`` (token shards) and ``windows.pt`` (the same tokens, one window a row)."""
    shape: dict[str, Any]
    """As in a job's spec."""
    config: dict[str, Any]
    """The same as ``transformers`` names it."""
    batch_tokens: int
    precision: str
    """``fp32`` or ``bf16``."""
    compiled: bool
    threads: int

    @property
    def sequences_per_step(self) -> int:
        """Windows of a step."""
        return self.batch_tokens // int(self.shape["context_length"])

    @classmethod
    def read(cls) -> Self:
        """The case in the file that the command line names first."""
        return cls(**json.loads(Path(sys.argv[1]).read_text()))

    def write(self, path: Path) -> None:
        """For :meth:`read`."""
        path.write_text(json.dumps(asdict(self)))


def answer(**found: object) -> None:
    """Write what was found into the file that the command line names second."""
    Path(sys.argv[2]).write_text(json.dumps(found))
