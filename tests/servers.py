"""Real servers on ports of their own, for tests of what lies behind a URL."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

PASSWORD = "long-and-secret"
_START_SECONDS = 60.0
_PORTS = range(10_000, 32_000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Below those that systems give to outgoing connections, any of which could take it before the
    server that it is meant for.
    """
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@contextmanager
def running_server(*command: str | Path, port: int, directory: Path) -> Iterator[None]:
    """A server that listens on ``port`` for as long as the block runs."""
    log_path = directory / f"server-{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_listening(port):
            has_ended = process.poll() is not None
            assert not has_ended, log_path.read_text()
            assert time.monotonic() < deadline, f"nobody listens on port {port}"
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def running_bucket(directory: Path) -> Iterator[dict[str, str]]:
    """The settings of a bucket on a server that speaks S3."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    server = (sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port))
    with running_server(*server, port=port, directory=directory):
        httpx.put(f"{endpoint}/models", trust_env=False).raise_for_status()
        yield {
            "PRETRAINER_STORE_URL": "s3://models/of/this/team",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
        }


def _is_listening(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
