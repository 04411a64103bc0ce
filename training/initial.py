"""The weights of a checkpoint as the beginning of another job's model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from core.errors import BadData, CheckpointDamaged
from core.spec import JobSpec
from corpora.shards import TOKENIZER_NAME
from models.huggingface import WEIGHTS_NAME
from models.language_model import LanguageModel
from training.checkpoint import load_json, load_tensors


def take_initial_weights(
    model: LanguageModel, directory: Path | None, *, spec: JobSpec, tokenizer_json: bytes
) -> None:
    """Give a new model the weights that its spec says it starts from; fresh ones stay otherwise.

    Never an optimizer's state and never a step: what goes on is the model, not the job.

    Args:
        model: As it was made.
        directory: The checkpoint's folder; None if the spec names none.
        spec: The job's.
        tokenizer_json: The tokenizer that the job's datasets were made by.

    Raises:
        BadData: the folder is missing, not the spec's, of a model of another shape, or of one with
            another tokenizer.
        CheckpointDamaged: the file of weights is none.
    """
    if spec.start is None:
        if directory is not None:
            raise BadData(
                "The spec starts from fresh weights, not from a checkpoint. To go on from this "
                f'one, its "start" is {_start_of(directory)}.',
                param="model.from",
            )
        return
    if directory is None:
        raise BadData(
            f"The spec starts from checkpoint {spec.start.checkpoint!r}: give its folder.",
            param="model.from",
        )
    path = directory / WEIGHTS_NAME
    digest = _sha256(path)
    if digest != spec.start.weights_sha256:
        raise BadData(
            f"The weights of {directory.name} are not those that the spec starts from: sha256 "
            f"{digest}, expected {spec.start.weights_sha256}.",
            param="model.from",
        )
    tensors = load_tensors(path)
    _require_shape(model, tensors, folder=directory.name)
    _require_tokenizer(directory, tokenizer_json)
    model.load_state_dict(tensors)


def _start_of(directory: Path) -> str:
    """What a spec says that starts from a folder."""
    start = {"checkpoint": directory.name, "weights_sha256": _sha256(directory / WEIGHTS_NAME)}
    return json.dumps(start)


def _require_shape(model: LanguageModel, tensors: Mapping[str, Tensor], *, folder: str) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            raise BadData(
                f"The weights of {folder} are of a model of another shape: {name!r} "
                f"is {given.get(name, 'missing')}, and in the spec's model "
                f"{expected.get(name, 'missing')}.",
                param="model.from",
            )


def _require_tokenizer(directory: Path, tokenizer_json: bytes) -> None:
    """A folder need not have a tokenizer, but not another one either."""
    path = directory / TOKENIZER_NAME
    if path.is_file() and _ids_of(load_json(path)) != _ids_of(json.loads(tokenizer_json)):
        raise BadData(
            f"The dataset was encoded by another tokenizer than that of {directory.name}, with "
            f"which its weights mean nothing. Encode the text by {path}.",
            code="tokenizer_does_not_match",
            param="tokenizer",
        )


def _ids_of(tokenizer: object) -> list[Any]:
    """What the ids of a text depend on: not on what a checkpoint's tokenizer puts around it."""
    if not isinstance(tokenizer, Mapping):
        return []
    return [tokenizer.get(part) for part in ("normalizer", "pre_tokenizer", "model")]


def _sha256(path: Path) -> str:
    """Of a file of a checkpoint.

    Raises:
        CheckpointDamaged: there is none.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointDamaged(f"{path.parent.name}/{path.name}: {error.strerror}") from None
