"""The route class of every endpoint: checks a request before its fields are looked at.

A JSON body must say that it is JSON, keep to the limit, and be what `api.json_body` reads; a query
parameter must be one that the endpoint knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from api.json_body import parse_json
from core.errors import ErrorDetail, InvalidRequest, TooLarge, did_you_mean
from core.settings import Settings

_FREE_PARAMETERS = "metadata["
"""``metadata[key]=value`` names the user's own keys, on lists that are filtered by them."""


class JsonRequest(Request):
    """A request whose JSON was read strictly, once."""

    parsed: object = None

    async def json(self) -> Any:  # noqa: ANN401 - as the framework has it
        """The body."""
        return self.parsed


class GuardedRoute(APIRoute):
    """A route that refuses what it would have to guess at."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the checks."""
        handle = super().get_route_handler()
        known = frozenset(_query_names(self.dependant))
        takes_json = self.body_field is not None

        async def guarded(request: Request) -> Response:
            _refuse_unknown_parameters(request, known)
            if not takes_json:
                return await handle(request)
            body = await _body_within_limit(request)
            checked = JsonRequest(request.scope, _replay(body))
            if body:
                _require_json(request)
                checked.parsed = parse_json(body)
            return await handle(checked)

        return guarded


async def read_json(request: Request) -> object:
    """The JSON body of an endpoint that reads it itself.

    Raises:
        InvalidRequest: there is none.
        MalformedRequest: it is no JSON, or JSON that may be misread.
        TooLarge: it has too many bytes.
    """
    body = await _body_within_limit(request)
    if not body:
        raise InvalidRequest("The request needs a JSON body.", code="missing_field")
    return parse_json(body)


async def _body_within_limit(request: Request) -> bytes:
    settings: Settings = request.app.state.settings
    limit = settings.max_json_bytes
    pieces: list[bytes] = []
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > limit:
            raise TooLarge(f"A JSON body has at most {limit} bytes.")
        pieces.append(piece)
    return b"".join(pieces)


def _replay(body: bytes) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _require_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        seen = json.dumps(media_type) if media_type else "nothing"
        raise HTTPException(
            415, f"The body must be sent with Content-Type: application/json, not {seen}."
        )


def _refuse_unknown_parameters(request: Request, known: frozenset[str]) -> None:
    is_filtered = any(name.startswith(_FREE_PARAMETERS) for name in known)
    details = [
        ErrorDetail(
            f"There is no query parameter {name!r}.{did_you_mean(name, known)}",
            "unknown_parameter",
            name,
        )
        for name in request.query_params
        if name not in known and not (is_filtered and name.startswith(_FREE_PARAMETERS))
    ]
    if details:
        first = details[0]
        raise InvalidRequest(first.message, code=first.code, param=first.param, details=details)


def _query_names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for inner in dependant.dependencies:
        yield from _query_names(inner)
