"""What a checkpoint of a job holds: written, and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from core.errors import CheckpointDamaged, Conflict
from core.spec import JobSpec
from models.huggingface import WEIGHTS_METADATA, WEIGHTS_NAME, hugging_face_files
from models.language_model import LanguageModel
from models.model_card import Sample, model_card
from training.checkpoint import (
    TensorFile,
    load_json,
    load_tensors,
    save_checkpoint,
    spec_digest,
    verify_checkpoint,
)
from training.data import JobData
from training.execution import Execution, keep_execution
from training.loader import Loader
from training.optimizers import Optimizer
from training.ports import Reporter, SavedCheckpoint
from training.state import Answers, TrainingState

_CARD_NAME: Final = "README.md"
_STATE_NAME: Final = "training_state/state.json"
_OPTIMIZER_NAME: Final = "training_state/optimizer.safetensors"
_RNG_PREFIX: Final = "rng."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """A moment of a job that will not change while it is written."""

    state: TrainingState
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    """And the random generators."""
    beside: Mapping[str, Path]
    """Files that lie on the disk already, by their names in the checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saver:
    """Writes everything that a checkpoint holds."""

    spec: JobSpec
    data: JobData
    out: Path
    fence: int
    loader: Loader
    model: LanguageModel
    optimizer: Optimizer
    provenance: Mapping[str, Any]

    def copy(self, state: TrainingState, *, beside: Mapping[str, Path]) -> Snapshot:
        """Model, optimizer and ``state`` as they are now, in memory of the host."""
        return Snapshot(
            state=state,
            weights=_on_the_host(self.model.state_dict()),
            optimizer=_on_the_host({**self.optimizer.state(), **_rng_states()}),
            beside=beside,
        )

    def write(self, snapshot: Snapshot) -> SavedCheckpoint:
        """A checkpoint of what was copied.

        Raises:
            OSError: the disk is full or broken; nothing is left behind.
        """
        state = snapshot.state
        spec = self.spec.model_dump(mode="json")
        training = {"dataset_digests": self.data.digests, "training": state.to_json()}
        path = save_checkpoint(
            self.out,
            step=state.step,
            tokens=state.tokens,
            fence=self.fence,
            spec_sha256=spec_digest(spec),
            metrics=state.measured,
            files={
                **hugging_face_files(self.spec.model, tokenizer_json=self.data.tokenizer_json),
                WEIGHTS_NAME: TensorFile(snapshot.weights, WEIGHTS_METADATA),
                _CARD_NAME: self._card(state).encode(),
                _OPTIMIZER_NAME: TensorFile(snapshot.optimizer, {}),
                _STATE_NAME: (json.dumps(training, indent=2) + "\n").encode(),
                **snapshot.beside,
            },
        )
        return SavedCheckpoint(path, state.step, state.tokens, state.measured)

    def _card(self, state: TrainingState) -> str:
        answers = state.answers if state.is_evaluated else Answers()
        continued = [Sample(c.prompt, c.text) for c in answers.continuations]
        filled = [Sample(f.blank, f.text) for f in answers.fillings]
        return model_card(
            self.spec,
            step=state.step,
            tokens=state.tokens,
            was_causal=self.loader.is_causal(state.step - 1),
            metrics=state.measured,
            samples=[*continued, *filled],
            provenance={
                "datasets": [
                    {"digest": one.manifest.digest, "corpus_digest": one.manifest.corpus_digest}
                    for one in self.data.by_corpus.values()
                ],
                **self.provenance,
            },
            device=state.execution.device,
            precision=state.execution.precision,
        )


def starting_state(
    spec: JobSpec,
    *,
    num_steps: int | None,
    num_ranks: int,
    resume: Path | None,
    settled: Execution | None,
    reporter: Reporter,
) -> TrainingState:
    """Step 0, or where a whole checkpoint of this very spec stands.

    Args:
        spec: What is asked for.
        num_steps: How many steps that takes, if it is known.
        num_ranks: How many processes share every step.
        resume: The checkpoint to go on from.
        settled: How earlier attempts settled that the job is to run.
        reporter: Hears if it cannot run so here.

    Raises:
        CheckpointDamaged: ``resume`` is not whole.
        Conflict: ``resume`` belongs to another spec.
    """
    keep = partial(keep_execution, spec=spec, num_steps=num_steps, num_ranks=num_ranks)
    earlier = [] if settled is None else [settled]
    if resume is None:
        return TrainingState(execution=keep(earlier))
    manifest = verify_checkpoint(resume)
    if manifest.spec_sha256 != spec_digest(spec.model_dump(mode="json")):
        raise Conflict(f"{resume.name} was trained from another spec and cannot be resumed.")
    state = recorded_state(resume)
    earlier.append(state.execution)
    kept = keep(earlier)
    if kept not in earlier:
        reporter.notice(
            code="execution_changed",
            message="This machine, or the number of its devices, differs from what the job began "
            "with; the result will not be the same to the last bit.",
            data={"before": state.execution.to_json(), "now": kept.to_json()},
        )
    return replace(state, execution=kept)


def recorded_state(checkpoint: Path) -> TrainingState:
    """The state that a checkpoint holds.

    Raises:
        CheckpointDamaged: it holds none.
    """
    recorded = load_json(checkpoint / _STATE_NAME)
    try:
        return TrainingState.from_json(recorded["training"])
    except (KeyError, TypeError) as error:
        raise CheckpointDamaged(f"{checkpoint.name}/{_STATE_NAME}: {error!r}") from None


def restore(
    checkpoint: Path, *, model: LanguageModel, optimizer: Optimizer, digests: list[str]
) -> None:
    """Load weights, optimizer and random generators of a verified checkpoint.

    Raises:
        CheckpointDamaged: it does not hold this model.
        Conflict: it was trained on other datasets than those of ``digests``.
    """
    recorded = load_json(checkpoint / _STATE_NAME)
    if recorded["dataset_digests"] != digests:
        raise Conflict(f"{checkpoint.name} was trained on another dataset and cannot be resumed.")
    tensors = load_tensors(checkpoint / _OPTIMIZER_NAME)
    try:
        model.load_state_dict(load_tensors(checkpoint / WEIGHTS_NAME))
        optimizer.load_state(tensors)
    except (KeyError, RuntimeError) as error:
        raise CheckpointDamaged(f"{checkpoint.name} does not hold this model: {error}") from None
    torch.set_rng_state(tensors[f"{_RNG_PREFIX}cpu"])
    if model.device.type == "cuda" and f"{_RNG_PREFIX}cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"{_RNG_PREFIX}cuda"])


def _on_the_host(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def _rng_states() -> dict[str, Tensor]:
    states = {f"{_RNG_PREFIX}cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{_RNG_PREFIX}cuda"] = torch.cuda.get_rng_state()
    return states
