"""Counts as people write them: ``20_000_000``, ``"20M"``, ``"1.5B"``, ``"64k"``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_WRITTEN = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([kmbt]?)", re.IGNORECASE)


def parse_count(value: object) -> object:
    """Turn ``"1.5B"`` into ``1500000000``; leave what is no text for the type check to judge.

    Raises:
        ValueError: the text is not a whole number of things.
    """
    if not isinstance(value, str):
        return value
    match = _WRITTEN.fullmatch(value.strip())
    if match is None:
        raise ValueError(f'{value!r} is not a count; write 20000000, "20M", "1.5B" or "64k"')
    number = Decimal(match[1]) * _SUFFIXES[match[2].lower()]
    if number != number.to_integral_value():
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)


COUNT_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": r"^\d+(\.\d+)?\s*[kKmMbBtT]?$"},
    ],
    "examples": ["20M"],
}

Count = Annotated[
    int,
    Field(strict=True, ge=1, le=10**15),
    BeforeValidator(parse_count),
    WithJsonSchema(COUNT_SCHEMA),
]
"""A positive whole number, also written as ``"20M"``."""
