"""An uploaded Hugging Face folder: which tensor of which file becomes which of the model's.

Torch-free, and given only descriptions: a config, an index, and the headers of the weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.errors import BadData
from core.sizing import num_parameters
from core.spec import ModelShape
from models.config_file import read_config
from models.safetensors_header import StoredTensor, read_header
from models.tensor_shapes import TIED, tensor_shapes

WEIGHTS_NAME: Final = "model.safetensors"
INDEX_NAME: Final = "model.safetensors.index.json"
MAX_PARAMETERS: Final = 20 * 10**9
_MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A safetensors file as far as it must be known here."""

    header: bytes
    num_bytes: int


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """How to read the weights of a folder."""

    shape: ModelShape
    token_ids: Mapping[str, int]
    """What the config says about special tokens: ids by role (``eos_token``)."""
    tensors: Mapping[str, tuple[str, StoredTensor]]
    """By the name of each of the model's tensors: the file that it is in, and where."""


def plan_folder(
    *, config: bytes, index: bytes | None, weights: Mapping[str, WeightsFile]
) -> FolderPlan:
    """Hold the parts of a folder against each other.

    Args:
        config: ``config.json``.
        index: ``model.safetensors.index.json``, where there is one.
        weights: Every safetensors file, by its name.

    Raises:
        BadData: a part is damaged, of a model that cannot be trained here, or does not fit the
            others.
    """
    shape, token_ids = read_config(config)
    if num_parameters(shape) > MAX_PARAMETERS:
        raise BadData(
            f"The model has {num_parameters(shape):,} parameters; at most {MAX_PARAMETERS:,}.",
            code="model_too_large",
        )
    names = _files(index, weights)
    found: dict[str, tuple[str, StoredTensor]] = {}
    for name in names:
        file = weights[name]
        for tensor_name, tensor in read_header(
            file.header, file=name, num_bytes=file.num_bytes
        ).items():
            if tensor_name in found:
                raise _damaged(f"Tensor {tensor_name!r} is in more than one file")
            found[tensor_name] = (name, tensor)
    if shape.tie_embeddings:
        found.pop(TIED[shape.architecture], None)  # the embedding once more
    _check_tensors(found, shape)
    return FolderPlan(shape, token_ids, found)


def _files(index: bytes | None, weights: Mapping[str, WeightsFile]) -> list[str]:
    """The files to read: what the index names, or the only one."""
    if index is None:
        if len(weights) != 1:
            raise _damaged(
                f"There are {len(weights)} files of weights and no {INDEX_NAME} that tells which "
                "to read"
            )
        return list(weights)
    try:
        raw: Any = json.loads(index)
        named = set(raw["weight_map"].values())
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise _damaged(f"{INDEX_NAME} has no readable weight_map") from None
    missing = sorted(str(name) for name in named if name not in weights)
    if missing:
        raise BadData(
            f"{INDEX_NAME} names files that are not there: {_listed(missing)}.",
            code="weights_missing",
        )
    return sorted(named)


def _check_tensors(found: Mapping[str, tuple[str, StoredTensor]], shape: ModelShape) -> None:
    expected = tensor_shapes(shape)
    missing = [name for name in expected if name not in found]
    if missing:
        raise BadData(f"Tensors are missing: {_listed(missing)}.", code="weights_missing")
    others = [name for name in found if name not in expected]
    if others:
        raise BadData(
            f"There are tensors that the config's model does not have: {_listed(others)}.",
            code="weights_do_not_match",
        )
    for name, size in expected.items():
        _, tensor = found[name]
        if tensor.shape != size:
            raise BadData(
                f"Tensor {name!r} has shape {list(tensor.shape)}; by the config it is "
                f"{list(size)}.",
                code="weights_do_not_match",
            )


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_MOST_SHOWN]))
    return shown if len(names) <= _MOST_SHOWN else f"{shown} and {len(names) - _MOST_SHOWN} more"


def _damaged(why: str) -> BadData:
    return BadData(f"{why}.", code="weights_damaged")
