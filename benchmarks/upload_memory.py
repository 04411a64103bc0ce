"""How much memory an upload costs the API, and how fast it goes: as a form and as a raw body.

python -m benchmarks.upload_memory [GIGABYTES]

Promised: at most 32 MiB more than before, every byte written once.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx

from benchmarks.live_api import LiveApi

_PIECE = os.urandom(1 << 20)
_BOUNDARY = "----pretrainer-benchmark"


def body(num_bytes: int) -> Iterator[bytes]:
    """Bytes that are made as they are sent."""
    for _ in range(num_bytes // len(_PIECE)):
        yield _PIECE


def form(num_bytes: int) -> Iterator[bytes]:
    """The same bytes as the only file of a form."""
    yield (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
    ).encode()
    yield from body(num_bytes)
    yield f"\r\n--{_BOUNDARY}--\r\n".encode()


def put(client: httpx.Client, num_bytes: int) -> httpx.Response:
    """Upload as ``curl -T`` does."""
    return client.put("/v1/files/big.bin", content=body(num_bytes))


def post(client: httpx.Client, num_bytes: int) -> httpx.Response:
    """Upload as ``curl -F`` does."""
    content_type = f"multipart/form-data; boundary={_BOUNDARY}"
    return client.post("/v1/files", content=form(num_bytes), headers={"content-type": content_type})


class PeakRss:
    """The most memory that the API held while this was open."""

    def __init__(self, api: LiveApi) -> None:
        self._api = api
        self._done = threading.Event()
        self.most = api.rss_bytes

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Watch no longer."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.most = max(self.most, self._api.rss_bytes)


def measure(
    api: LiveApi, upload: Callable[[httpx.Client, int], httpx.Response], num_bytes: int
) -> None:
    """Upload once; print what it cost."""
    with httpx.Client(base_url=api.url, timeout=600) as client:
        upload(client, len(_PIECE)).raise_for_status()  # what is loaded only once is loaded now
        before = api.rss_bytes
        started_at = time.perf_counter()
        with PeakRss(api) as peak:
            answer = upload(client, num_bytes).raise_for_status().json()
        seconds = time.perf_counter() - started_at
    digest = hashlib.sha256()
    for piece in body(num_bytes):
        digest.update(piece)
    assert answer["sha256"] == digest.hexdigest()
    grown = (peak.most - before) / (1 << 20)
    rate = num_bytes / 1e6 / seconds
    print(f"{upload.__name__:4}  {num_bytes / 1e9:.1f} GB  RSS +{grown:5.1f} MiB  {rate:6.0f} MB/s")


def main() -> None:
    """Measure both ways on one live process."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    num_bytes = int(gigabytes * 1e9) // len(_PIECE) * len(_PIECE)
    with tempfile.TemporaryDirectory() as directory, LiveApi(Path(directory)) as api:
        for upload in (put, post):
            measure(api, upload, num_bytes)


if __name__ == "__main__":
    main()
