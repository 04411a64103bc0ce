"""The port: bound once, by the parent, so that clients only wait while the API starts again."""

from __future__ import annotations

import errno
import ipaddress
import socket

from core.errors import Conflict, InvalidRequest
from core.settings import Settings

_BACKLOG = 2048


def refuse_exposure_without_keys(settings: Settings) -> None:
    """Nobody is asked for a key, so only this machine may connect, unless the operator insists.

    Raises:
        InvalidRequest: the host is not a loopback address.
    """
    if is_loopback(settings.host) or settings.allow_unauthenticated:
        return
    raise InvalidRequest(
        f"Refusing to listen on {settings.host}: whoever reaches that address could use the "
        "service, because it asks for no keys. Listen on 127.0.0.1, or set "
        "PRETRAINER_ALLOW_UNAUTHENTICATED=1 where something else guards the port.",
        param="host",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        Conflict: the port is taken.
        InvalidRequest: the host is no address of this machine, or the port needs privileges.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise InvalidRequest(
            f"There is no host {host!r}: {error.strerror}.", param="host"
        ) from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Connections inherit it. The server gets a bare descriptor and would not know it for TCP, and
    # then answers of two writes would wait 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _explained(error, host, port) from error
    listener.listen(_BACKLOG)
    return listener


def url_of(listener: socket.socket) -> str:
    """The base URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _explained(error: OSError, host: str, port: int) -> Conflict | InvalidRequest:
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            f"Port {port} of {host} is taken by another process. Choose one with --port; "
            "--port 0 takes a free one.",
            code="port_in_use",
            param="port",
        )
    param = "port" if error.errno == errno.EACCES else "host"
    return InvalidRequest(f"Cannot listen on {host}, port {port}: {error.strerror}.", param=param)
