"""What a safetensors file says it holds, checked before anything is read by it.

Torch-free (https://github.com/huggingface/safetensors#format): eight bytes of length, that much
JSON, and then the tensors, one after the other, without gaps.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from core.errors import BadData

LENGTH_BYTES: Final = 8
MAX_HEADER_BYTES: Final = 2**25
FLOAT_BYTES: Final = {"F32": 4, "F16": 2, "BF16": 2}
"""The types of numbers that weights may have, and how long each is."""
_MAX_DIMENSIONS: Final = 8
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor within a file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """Of its first byte, counted from the beginning of the file."""
    num_bytes: int


def read_header(header: bytes, *, file: str, num_bytes: int) -> dict[str, StoredTensor]:
    """The tensors of a file by name.

    Args:
        header: The JSON, without the length before it.
        file: What messages call the file.
        num_bytes: The length of the whole file.

    Raises:
        BadData: the header is damaged, or does not fit the file (``weights_damaged``), or there
            are numbers of a type that no weights have (``weights_not_supported``).
    """
    try:
        raw = json.loads(header, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"its header is no JSON ({error})") from None
    if not isinstance(raw, dict):
        raise _damaged(file, "its header is no object")
    raw.pop("__metadata__", None)
    first = LENGTH_BYTES + len(header)
    found = {
        str(name)[:_LONGEST_NAME]: _tensor(entry, str(name)[:_LONGEST_NAME], file=file, first=first)
        for name, entry in raw.items()
    }
    end = first
    for tensor in sorted(found.values(), key=lambda tensor: (tensor.start, tensor.num_bytes)):
        if tensor.start != end:
            raise _damaged(file, "its tensors overlap, or leave gaps")
        end += tensor.num_bytes
    if end != num_bytes:
        raise _damaged(file, f"it has {num_bytes} bytes, and its header says {end}; is it cut off?")
    return found


def _tensor(entry: object, name: str, *, file: str, first: int) -> StoredTensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(end)]}:
            pass
        case _:
            raise _damaged(file, f"tensor {name!r} is not described")
    if dtype not in FLOAT_BYTES:
        raise BadData(
            f"{file}: tensor {name!r} is of type {dtype[:20]!r}; weights are "
            f"{', '.join(FLOAT_BYTES)}.",
            code="weights_not_supported",
        )
    if len(shape) > _MAX_DIMENSIONS or not all(type(size) is int and size >= 0 for size in shape):
        raise _damaged(file, f"the shape of tensor {name!r} is none")
    num_bytes = math.prod(shape) * FLOAT_BYTES[dtype]
    if start < 0 or end - start != num_bytes:
        raise _damaged(file, f"tensor {name!r} has another length than its shape")
    return StoredTensor(dtype, tuple(shape), first + start, num_bytes)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _damaged(file: str, why: str) -> BadData:
    return BadData(f"{file} cannot be read: {why}.", code="weights_damaged")
