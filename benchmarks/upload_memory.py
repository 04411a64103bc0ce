"""What an upload costs the API in memory and writing: as a raw body, as a form, and in parts.

python -m benchmarks.upload_memory [GIGABYTES]

Promised: at most 32 MiB more than before, every byte written once (1.00 times; what the database
writes is counted too). The directory for temporary files must be on a disk, with room for twice as
much: a file system in memory counts no writes.
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
from typing import Any, Self

import httpx

from benchmarks.live_api import LiveApi

_PIECE = os.urandom(1 << 20)
_PART_PIECES = 64
_BOUNDARY = "----pretrainer-benchmark"


def body(start: int, end: int) -> Iterator[bytes]:
    """Pieces that are made as they are sent, no two of them equal."""
    for number in range(start, end):
        yield number.to_bytes(8, "big") + _PIECE[8:]


def form(num_pieces: int) -> Iterator[bytes]:
    """The bytes as the only file of a form."""
    yield (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
    ).encode()
    yield from body(0, num_pieces)
    yield f"\r\n--{_BOUNDARY}--\r\n".encode()


def put(client: httpx.Client, num_pieces: int) -> Any:  # noqa: ANN401 - JSON
    """Upload as ``curl -T`` does; answers with the file."""
    answer = client.put("/v1/files/big.bin", content=body(0, num_pieces))
    return answer.raise_for_status().json()


def post(client: httpx.Client, num_pieces: int) -> Any:  # noqa: ANN401 - JSON
    """Upload as ``curl -F`` does; answers with the file."""
    content_type = f"multipart/form-data; boundary={_BOUNDARY}"
    answer = client.post(
        "/v1/files", content=form(num_pieces), headers={"content-type": content_type}
    )
    return answer.raise_for_status().json()


def parts(client: httpx.Client, num_pieces: int) -> Any:  # noqa: ANN401 - JSON
    """Upload in parts of 64 MiB; answers with the file."""
    announced = {"filename": "big.bin", "bytes": num_pieces * len(_PIECE)}
    upload = client.post("/v1/uploads", json=announced).raise_for_status().json()
    url, part_ids = f"/v1/uploads/{upload['id']}", []
    for number, start in enumerate(range(0, num_pieces, _PART_PIECES)):
        content = body(start, min(start + _PART_PIECES, num_pieces))
        part = client.put(f"{url}/parts/{number}", content=content).raise_for_status().json()
        part_ids.append(part["id"])
    answer = client.post(f"{url}/complete", json={"part_ids": part_ids})
    return answer.raise_for_status().json()["file"]


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


def measure(api: LiveApi, upload: Callable[[httpx.Client, int], Any], num_pieces: int) -> None:
    """Upload once; print what it cost."""
    with httpx.Client(base_url=api.url, timeout=600) as client:
        warm = upload(client, 1)  # what is loaded only once is loaded now
        client.delete(f"/v1/files/{warm['id']}").raise_for_status()
        memory, written = api.rss_bytes, api.written_bytes
        started_at = time.perf_counter()
        with PeakRss(api) as peak:
            file = upload(client, num_pieces)
        seconds = time.perf_counter() - started_at
        written = api.written_bytes - written
        client.delete(f"/v1/files/{file['id']}").raise_for_status()
    digest = hashlib.sha256()
    for piece in body(0, num_pieces):
        digest.update(piece)
    assert file["sha256"] == digest.hexdigest()
    num_bytes = num_pieces * len(_PIECE)
    print(
        f"{upload.__name__:5}  {num_bytes / 1e9:.1f} GB  "
        f"RSS +{(peak.most - memory) / (1 << 20):5.1f} MiB  "
        f"written {written / num_bytes:.3f} times  {num_bytes / 1e6 / seconds:6.0f} MB/s"
    )


def main() -> None:
    """Measure all ways on one live process."""
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    num_pieces = int(gigabytes * 1e9) // len(_PIECE)
    with tempfile.TemporaryDirectory() as directory, LiveApi(Path(directory)) as api:
        for upload in (put, post, parts):
            measure(api, upload, num_pieces)


if __name__ == "__main__":
    main()
