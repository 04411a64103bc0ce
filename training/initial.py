"""The weights of a checkpoint as the beginning of another job's model."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.errors import BadData, CheckpointDamaged
from core.spec import JobSpec
from models.huggingface import WEIGHTS_NAME
from models.language_model import LanguageModel
from training.checkpoint import load_tensors


def take_initial_weights(model: LanguageModel, directory: Path | None, *, spec: JobSpec) -> None:
    """Give a new model the weights that its spec says it starts from; fresh ones stay otherwise.

    Never an optimizer's state and never a step: what goes on is the model, not the job.

    Args:
        model: As it was made.
        directory: The checkpoint's folder; None if the spec names none.
        spec: The job's.

    Raises:
        BadData: the folder is missing, not the spec's, or of a model of another shape.
        CheckpointDamaged: the file of weights is none.
    """
    if spec.start is None:
        if directory is not None:
            raise BadData("The spec starts from fresh weights, not from a checkpoint.")
        return
    if directory is None:
        raise BadData(
            f"The spec starts from checkpoint {spec.start.checkpoint!r}: give its folder."
        )
    path = directory / WEIGHTS_NAME
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointDamaged(f"{directory.name}/{path.name}: {error.strerror}") from None
    if digest != spec.start.weights_sha256:
        raise BadData(
            f"The weights of {directory.name} are not those that the spec starts from: sha256 "
            f"{digest}, expected {spec.start.weights_sha256}.",
            param="model.from",
        )
    tensors = load_tensors(path)
    expected = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        raise BadData(
            f"The weights of {directory.name} are of a model of another shape.", param="model.from"
        )
    model.load_state_dict(tensors)
