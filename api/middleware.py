"""What surrounds every request: an id and a last resort, who may ask, how slow a body may be.

Written against ASGI itself: Starlette's ``BaseHTTPMiddleware`` copies streams through a queue and
hides a client that has gone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import time
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import error_response, internal_error
from core import log
from core.errors import ErrorDetail, MalformedRequest
from core.ids import new_id

REQUEST_ID_HEADER: Final = "x-request-id"
IDLE_SECONDS: Final = 10.0
"""The longest silence within a request's body."""
SLOWEST_BYTES_PER_SECOND: Final = 1024
"""A body that arrives more slowly than this, after the first idle time, is given up."""

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
"""A name or address, and a port (RFC 9110 section 7.2)."""

_log = logging.getLogger(__name__)


def install(app: FastAPI, *, host: str) -> None:
    """Put the middleware around ``app``, which listens on ``host``."""
    app.add_middleware(BodyPace)
    app.add_middleware(HeadAsGet)
    app.add_middleware(StorableAddress)
    if is_loopback(host):
        app.add_middleware(LoopbackOnly)
    app.add_middleware(RequestContext)


class RequestContext:
    """Gives every answer an ``x-request-id``, and answers what nobody foresaw."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id("req")
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            with log.bound(request_id=request_id):
                await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            _log.info("%s %s: the client has gone (%s)", scope["method"], scope["path"], request_id)
        except Exception:
            _log.exception("%s %s failed (%s)", scope["method"], scope["path"], request_id)
            if started:
                raise  # half an answer is out: only cutting the connection tells the client
            await internal_error(request_id)(scope, receive, send_with_id)


class LoopbackOnly:
    """Without keys, only what runs on this machine may ask.

    A page of any site could otherwise reach the service through the user's browser: by a form, or
    by a name that it lets point to 127.0.0.1 (DNS rebinding). The first shows in ``Origin``, the
    second in ``Host``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and (problem := _foreign(Headers(scope=scope))):
            await error_response(403, [problem])(scope, receive, send)
            return
        await self._app(scope, receive, send)


class StorableAddress:
    """Refuses a path or query with a NUL character, which no database takes as text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and ("\x00" in scope["path"] or b"%00" in scope["query_string"]):
            detail = ErrorDetail("The address holds a NUL character.", MalformedRequest.code, None)
            await error_response(400, [detail])(scope, receive, send)
            return
        await self._app(scope, receive, send)


class HeadAsGet:
    """Answers HEAD wherever GET answers: the same headers, no body (RFC 9110 section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        # A copy: the server looks at its own scope to know that no body follows.
        as_get = {**scope, "method": "GET", "state": {**scope.get("state", {}), "is_head": True}}

        async def send_no_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(as_get, receive, send_no_body)


class BodyPace:
    """Gives up on a body that stalls: the server itself waits for ever.

    Only until the body is whole or the answer begins; an event stream may then wait as long as it
    likes.
    """

    def __init__(self, app: ASGIApp, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._app = app
        self._idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waited, received, whole, answered = 0.0, 0, False, False

        async def send_and_note(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        async def receive_in_time() -> Message:
            nonlocal waited, received, whole
            if whole:
                return await receive()
            allowed = self._idle_seconds + received / SLOWEST_BYTES_PER_SECOND - waited
            asked_at = time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), min(self._idle_seconds, allowed))
            except TimeoutError:
                if answered:  # whoever listens now only wants to know when the client goes
                    return await receive()
                raise HTTPException(
                    408,
                    f"The body stalled after {received} bytes.",
                    headers={"connection": "close"},
                ) from None
            waited += time.monotonic() - asked_at
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, receive_in_time, send_and_note)


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine alone: ``localhost``, 127.0.0.0/8 or ::1."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _foreign(headers: Headers) -> ErrorDetail | None:
    host = headers.get("host", "")
    name = _HOST.fullmatch(host)
    if name is None or not is_loopback(name[1]):
        message = f"This service answers on this machine only; Host is {host!r}."
        return ErrorDetail(message, "host_not_allowed", "Host")
    origin = headers.get("origin")
    if origin is not None and not _names_loopback(origin):
        message = f"This service answers pages of this machine only; Origin is {origin!r}."
        return ErrorDetail(message, "origin_not_allowed", "Origin")
    return None


def _names_loopback(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
