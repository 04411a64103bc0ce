"""Going back: which weights a job returns to when its loss has left for good.

Always the same ones, whether the job was interrupted or not: those of the last checkpoint that its
schedule asked for, never of one that was saved only because somebody wanted it to stop. Such a one
therefore holds a whole copy of the other: it may be all that the next host has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import CheckpointDamaged
from core.spec import CheckpointSpec
from models.huggingface import WEIGHTS_NAME
from models.language_model import LanguageModel
from training.checkpoint import MANIFEST_NAME, read_manifest, verify_checkpoint
from training.optimizers import Optimizer
from training.saving import recorded_state, restore
from training.state import TrainingState

_GROUND: Final = "training_state/go_back_to"
"""Within a checkpoint, the one to go back to."""
_INITIAL: Final = "training_state/initial"
"""Within a checkpoint, the weights that the job was given to begin with."""


def is_firm(state: TrainingState, spec: CheckpointSpec) -> bool:
    """Whether a checkpoint of this state is one to go back to."""
    return state.step % spec.every_steps == 0 and not state.guard.is_worried


@dataclass(kw_only=True, slots=True)
class Rollback:
    """Puts a model and its optimizer back to the last checkpoint on firm ground."""

    model: LanguageModel
    optimizer: Optimizer
    digests: list[str]
    initial: Path | None
    """The folder of the weights that the job was given to begin with."""
    begin_again: Callable[[], None]
    """Gives model and optimizer what they had at step 0."""
    to: Path | None = None
    """The checkpoint, as it lies on the disk until a later one has taken its place; None: step 0.
    """

    def earlier(self) -> TrainingState | None:
        """What was known at the step that weights go back to; None: nothing, at step 0.

        Raises:
            CheckpointDamaged: the checkpoint is not whole any more.
        """
        if self.to is None:
            return None
        verify_checkpoint(self.to)
        return recorded_state(self.to)

    def go_back(self) -> None:
        """Load what was saved at that step; nothing else changes.

        Raises:
            CheckpointDamaged: the checkpoint is not whole any more.
        """
        if self.to is None:
            self.begin_again()
        else:
            restore(self.to, model=self.model, optimizer=self.optimizer, digests=self.digests)

    def files(self) -> dict[str, Path]:
        """What another host needs beside a checkpoint, to go back as far as this one would.

        Nothing if it is not there any more: to save and leave is worth more than the same bits
        after a roll-back that may never come.
        """
        if self.to is not None:
            try:
                names = [file.name for file in read_manifest(self.to).files]
            except CheckpointDamaged:
                return {}
            return {f"{_GROUND}/{name}": self.to / name for name in (*names, MANIFEST_NAME)}
        if self.initial is not None:
            return {f"{_INITIAL}/{WEIGHTS_NAME}": self.initial / WEIGHTS_NAME}
        return {}


def firm_ground(
    resume: Path, state: TrainingState, *, initial: Path | None, has_fresh_weights: bool
) -> Path | None:
    """Where a job that goes on from ``resume`` would go back to; None: to step 0.

    Where ``resume`` does not have it, as those of earlier versions, it stands in for it: the job
    still recovers, but to other bits.

    Args:
        resume: A verified checkpoint.
        state: What it says.
        initial: The weights that the job was given to begin with, if they are here.
        has_fresh_weights: It was given none.
    """
    ground = resume / _GROUND
    if state.firm_step == state.step:
        return resume
    if (ground / MANIFEST_NAME).is_file():
        return ground
    if state.firm_step == 0 and (has_fresh_weights or initial is not None):
        return None
    return resume


def kept_initial(resume: Path) -> Path | None:
    """The weights that the job was given to begin with, if a checkpoint of it holds them."""
    folder = resume / _INITIAL
    return folder if (folder / WEIGHTS_NAME).is_file() else None
