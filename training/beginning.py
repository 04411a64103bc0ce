"""How a run begins: with fresh or given weights, or where a checkpoint stands."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from core.spec import JobSpec
from models.architectures import empty_model, new_model
from models.language_model import LanguageModel
from training.data import JobData
from training.execution import Execution
from training.initial import take_initial_weights
from training.optimizers import Optimizer, build_optimizer
from training.rollback import Rollback, firm_ground, kept_initial
from training.saving import restore
from training.state import TrainingState


def from_step_0(
    spec: JobSpec, initial: Path | None, *, data: JobData, execution: Execution
) -> tuple[LanguageModel, Optimizer, Rollback]:
    """What a job begins with.

    Args:
        spec: What is asked for.
        initial: The folder of the checkpoint that ``spec.start`` names.
        data: What the job trains on.
        execution: Where the model goes, and in which precision.

    Raises:
        BadData: ``initial`` does not fit the spec.
        CheckpointDamaged: ``initial`` is not whole.
    """
    model = _placed(_first_model(spec, initial, data=data), execution)
    optimizer = _optimizer_of(model, spec)
    return model, optimizer, _rollback(spec, initial, data=data, model=model, optimizer=optimizer)


def from_checkpoint(
    resume: Path, state: TrainingState, *, spec: JobSpec, initial: Path | None, data: JobData
) -> tuple[LanguageModel, Optimizer, Rollback]:
    """What a job goes on with.

    Args:
        resume: A verified checkpoint of this very spec.
        state: What it says, and how the job is to run from now on.
        spec: What is asked for.
        initial: The folder of the checkpoint that ``spec.start`` names, if it is here; to go back
            to step 0.
        data: What the job trains on.

    Raises:
        CheckpointDamaged: ``resume`` does not hold this model.
        Conflict: ``resume`` was trained on other datasets.
    """
    initial = initial or kept_initial(resume)
    model = _placed(empty_model(spec.model), state.execution)
    optimizer = _optimizer_of(model, spec)
    rollback = _rollback(spec, initial, data=data, model=model, optimizer=optimizer)
    rollback.to = firm_ground(resume, state, initial=initial, has_fresh_weights=spec.start is None)
    restore(resume, model=model, optimizer=optimizer, digests=data.digests)
    return model, optimizer, rollback


def _first_model(spec: JobSpec, initial: Path | None, *, data: JobData) -> LanguageModel:
    model = new_model(spec.model, seed=spec.seed)
    take_initial_weights(model, initial, spec=spec, tokenizer_json=data.tokenizer_json)
    return model


def _placed(model: LanguageModel, execution: Execution) -> LanguageModel:
    model.to(execution.torch_device)
    model.compute_dtype = execution.compute_dtype
    return model


def _optimizer_of(model: LanguageModel, spec: JobSpec) -> Optimizer:
    return build_optimizer(model, spec.optimizer, precision=model.compute_dtype)


def _rollback(
    spec: JobSpec,
    initial: Path | None,
    *,
    data: JobData,
    model: LanguageModel,
    optimizer: Optimizer,
) -> Rollback:
    """One that goes back to step 0."""
    return Rollback(
        model=model,
        optimizer=optimizer,
        digests=data.digests,
        initial=initial,
        begin_again=partial(
            _begin_again, spec, initial, data=data, model=model, optimizer=optimizer
        ),
    )


def _begin_again(
    spec: JobSpec,
    initial: Path | None,
    *,
    data: JobData,
    model: LanguageModel,
    optimizer: Optimizer,
) -> None:
    """Give a model and its optimizer what they had at step 0."""
    model.load_state_dict(_first_model(spec, initial, data=data).state_dict())
    optimizer.load_state(_optimizer_of(model, spec).state())
