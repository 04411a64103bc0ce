"""From pydantic's findings to the details of our errors: which field, what was seen, what is known.

Pydantic's locations hold more than the path of a field: the tags of unions, the names of
validators. The path that a user would recognise is what can be followed in the user's own input.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel

from core.errors import ErrorDetail, did_you_mean

_LONGEST_INPUT: Final = 80
_CODES: Final = {
    "extra_forbidden": "unknown_field",
    "missing": "missing_field",
    "objectives_need_two_architectures": "objectives_need_two_architectures",
    "union_tag_not_found": "missing_field",
    "value_error": "invalid_value",
}
_OBJECT_NEEDED: Final = frozenset({"model_type", "model_attributes_type", "dict_type"})
_MESSAGES: Final = {
    **dict.fromkeys(_OBJECT_NEEDED, "Input should be an object"),
    "tuple_type": "Input should be a valid list",
    "too_short": "The number of items should be at least {min_length}",
    "too_long": "The number of items should be at most {max_length}",
}
"""In the words of JSON, where pydantic speaks of Python."""
_FIELD_IN_MESSAGE: Final = "value_error"
"""Our own checks name their field before the colon: ``heads: width 100 is not ...``."""


def details_of(
    errors: Sequence[Mapping[str, Any]], *, body: object, model: object = None
) -> list[ErrorDetail]:
    """One detail for each finding.

    Args:
        errors: What ``ValidationError.errors()`` gives, located from ``body`` or a parameter on.
        body: The input that was checked.
        model: The annotation of the body, to know its fields for "did you mean".
    """
    found = [_detail(error, body=body, model=model) for error in errors]
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _Finding:
    """One of pydantic's findings."""

    kind: str
    message: str
    location: tuple[Any, ...]
    """Without the leading word that says where it was looked for."""
    seen: object
    param: str | None


def _detail(error: Mapping[str, Any], *, body: object, model: object) -> ErrorDetail:
    kind, (place, *location) = str(error["type"]), tuple(error["loc"])
    path = _path_in(body, location, kind=kind) if place == "body" else tuple(location)
    message = str(error["msg"]).removeprefix("Value error, ")
    if kind == "union_tag_not_found":
        path = (*path, "type")
    if kind in _MESSAGES:
        message = _MESSAGES[kind].format_map(error.get("ctx", {}))
    if kind == _FIELD_IN_MESSAGE:
        field, colon, rest = message.partition(": ")
        if colon and field.isidentifier():
            path, message = (*path, field), rest
    found = _Finding(
        kind=kind,
        message=message,
        location=tuple(location),
        seen=_written_at(body, path, default=error.get("input")),
        param=".".join(str(part) for part in path) or None,
    )
    return ErrorDetail(_message(found, model), _code(kind), found.param)


def _message(found: _Finding, model: object) -> str:
    if found.kind == "extra_forbidden":
        known = _fields_at(model, found.location[:-1])
        return f"There is no field {found.param!r}.{did_you_mean(str(found.location[-1]), known)}"
    if _code(found.kind) == "missing_field":
        return f"{found.param} is required." if found.param else "The request needs a JSON body."
    if found.kind.startswith("unknown_"):
        return found.message
    subject = f"{found.param}: " if found.param else ""
    seen = _shown(found.seen)
    return f"{subject}{found.message}{f' (got {seen})' if seen else ''}."


def _code(kind: str) -> str:
    if kind in _CODES:
        return _CODES[kind]
    if kind.startswith("unknown_"):
        return kind
    return "wrong_type" if kind.endswith(("_type", "_parsing")) else "invalid_value"


def _shown(value: object) -> str:
    """A short value as the user wrote it; nothing for a long one."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return ""
    return text if len(text) <= _LONGEST_INPUT else ""


def _path_in(body: object, location: Sequence[Any], *, kind: str) -> tuple[Any, ...]:
    """The part of ``location`` that can be followed in ``body``."""
    path: list[Any] = []
    here = body
    for place, part in enumerate(location):
        if _has(here, part):
            path.append(part)
            here = here[part]  # type: ignore[index]
        elif kind == "missing" and place == len(location) - 1:
            path.append(part)
    return tuple(path)


def _written_at(body: object, path: Sequence[Any], *, default: object) -> object:
    """What stands in ``body``: abbreviations are unfolded by the time that they are checked."""
    here = body
    for part in path:
        if not _has(here, part):
            return default
        here = here[part]  # type: ignore[index]
    return here if path else default


def _has(container: object, part: object) -> bool:
    if isinstance(container, Mapping):
        return part in container
    return isinstance(container, list) and isinstance(part, int) and part < len(container)


def _fields_at(model: object, location: Sequence[Any]) -> set[str]:
    """The fields of the models that stand at ``location`` within ``model``."""
    models = list(_models_in(model))
    for part in location:
        inner = [
            found
            for candidate in models
            if part in candidate.model_fields
            for found in _models_in(candidate.model_fields[part].annotation)
        ]
        tagged = [candidate for candidate in models if _is_tagged(candidate, part)]
        models = inner or tagged or models
    return {
        field.alias or name
        for candidate in models
        for name, field in candidate.model_fields.items()
    }


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from _models_in(inner)


def _is_tagged(model: type[BaseModel], tag: object) -> bool:
    field = model.model_fields.get("type")
    return field is not None and tag in get_args(field.annotation)
