"""Every failure in one shape: ``{"error": {"message", "type", "code", "param", "details"}}``.

Which status an error of `core.errors` gets is decided in `STATUSES` and nowhere else. What nobody
foresaw is answered in the same shape by `api.middleware`, without a word about our insides.
"""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route

from api.schemas.errors import ErrorBody, ErrorObject, ErrorPart
from core import errors as core_errors
from core.errors import ErrorDetail, PretrainerError
from core.findings import details_of

STATUSES: Final[Mapping[type[PretrainerError], int]] = {
    core_errors.MalformedRequest: 400,
    core_errors.InvalidRequest: 422,
    core_errors.NotFound: 404,
    core_errors.Conflict: 409,
    core_errors.TooLarge: 413,
    core_errors.QuotaExceeded: 429,
    core_errors.RangeNotSatisfiable: 416,
    core_errors.PreconditionFailed: 412,
    core_errors.DigestMismatch: 422,
    core_errors.BadData: 422,
    core_errors.Unavailable: 503,
}
"""By the nearest class; what is not named here is a fault of ours, 500."""

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_CODES: Final = {
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}
_SERVER_FAULT: Final = 500


class CheckedBodyError(RequestValidationError):
    """A body that an endpoint has checked itself, because it comes in more than one form."""

    def __init__(self, errors: Sequence[Any], *, body: object, model: type[BaseModel]) -> None:
        """``model`` is what the body was checked against."""
        super().__init__(errors, body=body)
        self.model = model


def error_response(
    status: int,
    details: Sequence[ErrorDetail],
    *,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer for a failure; the first of ``details`` is the one that most clients show."""
    first = details[0]
    body = ErrorBody(
        error=ErrorObject(
            message=first.message,
            type=_type_of(status),
            code=first.code,
            param=first.param,
            details=[ErrorPart(message=d.message, code=d.code, param=d.param) for d in details],
        )
    )
    return JSONResponse(body.model_dump(), status, headers=headers)


def internal_error(request_id: str) -> JSONResponse:
    """The answer for what nobody foresaw; the log has the rest under the same request id."""
    message = f"Something went wrong on our side; the log tells more under {request_id}."
    return error_response(_SERVER_FAULT, [ErrorDetail(message, "internal_error", None)])


def install(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer every kind of failure in our shape.

    Args:
        app: The application.
        routes: All of its own, to say which methods an address allows.
    """
    app.state.own_routes = tuple(route for route in routes if isinstance(route, Route))
    app.add_exception_handler(PretrainerError, _on_our_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)


def _type_of(status: int) -> str:
    if status >= _SERVER_FAULT:
        return "server_error"
    return _TYPES.get(status, "invalid_request_error")


def _status_of(error: PretrainerError) -> int:
    nearest = (STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)
    return next(nearest, _SERVER_FAULT)


def _headers_of(error: PretrainerError) -> dict[str, str]:
    if isinstance(error, core_errors.Conflict | core_errors.QuotaExceeded):
        return {"x-should-retry": "false"}
    if isinstance(error, core_errors.RangeNotSatisfiable):
        return {"content-range": f"bytes */{error.size}"}
    if isinstance(error, core_errors.Unavailable):
        return {"retry-after": "1"}
    return {}


async def _on_our_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PretrainerError)
    status = _status_of(error)
    if status == _SERVER_FAULT:
        raise error  # the outermost middleware logs it and answers
    del request
    return error_response(status, error.details, headers=_headers_of(error))


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    model = error.model if isinstance(error, CheckedBodyError) else _body_model(request)
    details = details_of(error.errors(), body=error.body, model=model)
    return error_response(STATUSES[core_errors.InvalidRequest], details)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "invalid_request")
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        headers["allow"] = _allowed_methods(request) or headers.get("allow", "")
    detail = ErrorDetail(_http_message(request, error, headers), code, None)
    return error_response(error.status_code, [detail], headers=headers)


def _allowed_methods(request: Request) -> str:
    """Every method of the address; the framework names those of the first route alone."""
    routes: Sequence[Route] = request.app.state.own_routes
    fitting = [route for route in routes if route.path_regex.match(request.url.path)]
    methods = {method for route in fitting for method in route.methods or ()}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))


def _http_message(request: Request, error: HTTPException, headers: Mapping[str, str]) -> str:
    where = f"{request.method} {request.url.path}"
    if error.detail != http.HTTPStatus(error.status_code).phrase:
        return error.detail
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        return f"There is nothing at {where}; GET /openapi.json lists what there is."
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{where} is not possible; allowed here: {headers['allow']}."
    return error.detail


def _body_model(request: Request) -> object:
    field = getattr(request.scope.get("route"), "body_field", None)
    return field.field_info.annotation if field is not None else None
