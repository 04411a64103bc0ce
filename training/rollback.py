"""Going back: which weights a job returns to when its loss has left for good.

Always the same ones, whether the job was interrupted or not: those of the last checkpoint that its
schedule asked for, never of one that was saved only because somebody wanted it to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import CheckpointDamaged
from core.spec import CheckpointSpec
from models.language_model import LanguageModel
from training.checkpoint import read_manifest, verify_checkpoint
from training.optimizers import Optimizer
from training.saving import recorded_state, restore
from training.state import TrainingState


def is_firm(state: TrainingState, spec: CheckpointSpec) -> bool:
    """Whether a checkpoint of this state is one to go back to."""
    return state.step % spec.every_steps == 0 and not state.guard.is_worried


@dataclass(kw_only=True, slots=True)
class Rollback:
    """Puts a model and its optimizer back to the last checkpoint on firm ground."""

    model: LanguageModel
    optimizer: Optimizer
    digests: list[str]
    begin_again: Callable[[], None]
    """Gives model and optimizer what they had at step 0."""
    to: Path | None = None
    """The checkpoint, as it lies on the disk until a later one has taken its place; None: step 0.
    """

    def go_back(self) -> int:
        """Load what was saved; nothing else changes.

        Returns:
            The step that the weights are of now.

        Raises:
            CheckpointDamaged: the checkpoint is not whole any more.
        """
        if self.to is None:
            self.begin_again()
            return 0
        manifest = verify_checkpoint(self.to)
        restore(self.to, model=self.model, optimizer=self.optimizer, digests=self.digests)
        return manifest.step


def firm_ground(
    resume: Path, state: TrainingState, spec: CheckpointSpec, *, can_begin_again: bool
) -> Path | None:
    """Where a job that goes on from ``resume`` would go back to; None: to step 0.

    Looks at ``resume``, then at the checkpoints beside it. Where the right one has been deleted,
    ``resume`` stands in for it: the job still recovers, but to other bits.
    """
    if is_firm(state, spec):
        return resume
    if state.step < spec.every_steps and can_begin_again:
        return None
    return next(_firm_before(resume, state.step, spec), resume)


def _firm_before(resume: Path, step: int, spec: CheckpointSpec) -> Iterator[Path]:
    """Checkpoints of the same spec beside ``resume`` that are on firm ground, the latest first."""
    digest = read_manifest(resume).spec_sha256
    found: list[tuple[int, int, Path]] = []
    for path in resume.parent.glob("step-*"):
        try:
            manifest = read_manifest(path)
            if (
                manifest.step < step
                and manifest.spec_sha256 == digest
                and is_firm(recorded_state(path), spec)
            ):
                found.append((manifest.step, manifest.fence, path))
        except CheckpointDamaged:
            continue
    return (path for _, _, path in sorted(found, reverse=True))
