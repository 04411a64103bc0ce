"""JSON as strict as its standard, and bounded: what Python's reader forgives is refused here.

``json.loads`` takes ``NaN``, turns ``1e400`` into infinity, lets the last of two equal keys win and
passes lone surrogates on; each of these would fail later, in the database or in the answer, as a
fault of ours (RFC 8259 sections 4, 6 and 8.2).
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from core.errors import MalformedRequest

MAX_DEPTH: Final = 32
"""Levels of lists and objects within each other."""
_MAX_DIGITS: Final = 19
"""Digits of the largest integer of 64 bits."""


def parse_json(body: bytes, *, called: str = "The body") -> object:
    """Read a JSON text.

    Args:
        body: The text, UTF-8 without a byte order mark.
        called: What it is to the user.

    Raises:
        MalformedRequest: the text is no JSON, or JSON that two readers could understand
            differently, or nested deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_object_with_distinct_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_int,
        )
    except UnicodeDecodeError as error:
        raise MalformedRequest(
            f"{called} is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}."
        ) from None
    except json.JSONDecodeError as error:
        raise MalformedRequest(
            f"{called} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise _too_deep(called) from None
    _check_parts(value, called=called)
    return value


def _object_with_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedRequest(f"The key {key!a} stands twice in one object.")
            seen.add(key)
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedRequest(f"{name} is not JSON; numbers are finite.")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MalformedRequest(f"The number {text[:40]} is too large.")
    return number


def _bounded_int(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise MalformedRequest(f"The number {text[:40]} does not fit in 64 bits.")
    return int(text)


def _too_deep(called: str) -> MalformedRequest:
    return MalformedRequest(f"{called} is nested deeper than {MAX_DEPTH} levels.")


def _check_parts(value: object, *, called: str) -> None:
    """Refuse what is too deep and text that cannot be stored, without recursion."""
    waiting: list[tuple[object, int, str]] = [(value, 0, "")]
    while waiting:
        part, depth, path = waiting.pop()
        if isinstance(part, str):
            check_text(part, param=path or None)
        elif isinstance(part, dict | list):
            if depth == MAX_DEPTH:
                raise _too_deep(called)
            pairs = part.items() if isinstance(part, dict) else enumerate(part)
            for key, item in pairs:
                if isinstance(key, str):
                    check_text(key, param=path or None)
                waiting.append((item, depth + 1, f"{path}.{key}" if path else str(key)))


def check_text(text: str, *, param: str | None) -> None:
    """Refuse text that no database stores and no answer could carry.

    Raises:
        MalformedRequest: the text holds NUL or half of a surrogate pair.
    """
    if "\x00" in text:
        raise MalformedRequest("Text holds a NUL character.", param=param)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            code = ord(text[error.start])
            raise MalformedRequest(
                f"Text holds half of a surrogate pair, U+{code:04X}.", param=param
            ) from None
