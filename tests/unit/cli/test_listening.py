import socket

import pytest

from cli import listening
from core.errors import Conflict, InvalidRequest
from core.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    listening.refuse_exposure_without_keys(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_wider_address_without_keys_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest, match="Refusing to listen"):
        listening.refuse_exposure_without_keys(Settings(host=host))


def test_operator_may_take_the_guard_upon_himself() -> None:
    listening.refuse_exposure_without_keys(Settings(host="0.0.0.0", allow_unauthenticated=True))


def test_taken_port_is_an_error_that_names_it() -> None:
    with listening.bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]

        with pytest.raises(Conflict, match=f"Port {port} of 127.0.0.1 is taken"):
            listening.bind("127.0.0.1", port)


def test_foreign_address_is_an_error_that_names_it() -> None:
    with pytest.raises(InvalidRequest, match=r"192\.0\.2\.1"):
        listening.bind("192.0.2.1", 0)


def test_connections_send_small_answers_at_once() -> None:
    with (
        listening.bind("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert listening.url_of(listener) == f"http://127.0.0.1:{client.getpeername()[1]}"
