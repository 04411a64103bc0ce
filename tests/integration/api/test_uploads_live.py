"""Uploads over real sockets: the stock client, several processes, cuts and kills."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from openai import ConflictError, OpenAI, RateLimitError, UnprocessableEntityError

from core.settings import Settings
from db.engine import Database
from db.tables import DEFAULT_PROJECT_ID
from tests.servers import free_port

ROOT = Path(__file__).resolve().parents[3]
CONTENT = random.Random(0).randbytes(1_000_003)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
_PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.slow


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


class Server:
    """An API process over a data directory, which others may use as well."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = self._start()

    def wait(self) -> None:
        """Wait until it answers."""
        eventually(self._answers)

    def restart(self) -> None:
        """Kill it, as a power cut would, and start it again on the same port."""
        self.stop(signal.SIGKILL)
        self._process = self._start()
        self.wait()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        self._process.send_signal(number)
        self._process.wait(timeout=30)

    def _start(self) -> subprocess.Popen[bytes]:
        command = ("-m", "uvicorn", "--factory", "api.app:create_app", "--app-dir", str(ROOT))
        return subprocess.Popen(
            [sys.executable, *command, "--port", str(self.port), "--log-level", "error"],
            env={
                "PRETRAINER_DATA_DIR": str(self._data_dir),
                "PRETRAINER_RECONCILE_SECONDS": "0.1",
                "PRETRAINER_LEASE_SECONDS": "1",
            },
            cwd=self._data_dir,
        )

    def _answers(self) -> bool:
        assert self._process.poll() is None
        try:
            return httpx.get(f"{self.url}/healthz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class Installation:
    """Two processes that serve one data directory."""

    data_dir: Path
    servers: tuple[Server, Server]
    database: Database

    @property
    def url(self) -> str:
        """The first one's."""
        return self.servers[0].url

    def keys(self) -> set[str]:
        """What lies in the store, finished or not."""
        store = self.data_dir / "store"
        return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}

    def num_reservations(self) -> int:
        """How many requests hold room."""
        with self.database.unit_of_work(None) as uow:
            return len(uow.upkeep.reservations())

    def set_quota(self, num_bytes: int | None) -> None:
        """Limit what the project may store."""
        with self.database.unit_of_work(write=True) as uow:
            uow.projects.get(DEFAULT_PROJECT_ID).storage_quota_bytes = num_bytes
            uow.commit()


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> Iterator[Installation]:
    data_dir = tmp_path_factory.mktemp("installation")
    shutil.copyfile(migrated_sqlite, data_dir / "pretrainer.db")
    database = Database(Settings(data_dir=data_dir).database_url)
    with ExitStack() as stack:
        servers = (Server(data_dir), Server(data_dir))
        stack.callback(database.close)
        for server in servers:
            stack.callback(server.stop)
        for server in servers:
            server.wait()
        yield Installation(data_dir=data_dir, servers=servers, database=database)


@pytest.fixture
def client(installation: Installation) -> Iterator[httpx.Client]:
    """A client of the first process; each test leaves an empty store behind."""
    with httpx.Client(base_url=installation.url, timeout=60) as client:
        yield client
        for file in client.get("/v1/files?limit=1000").json()["data"]:
            assert client.delete(f"/v1/files/{file['id']}").status_code == 200
    assert installation.keys() == set()


def create(client: httpx.Client) -> str:
    answer = client.post("/v1/uploads", json={"filename": "a.bin", "bytes": len(CONTENT)})
    upload_id: str = answer.raise_for_status().json()["id"]
    return upload_id


def cut_into(count: int) -> list[bytes]:
    """The content in ``count`` parts of about the same size."""
    size = -(-len(CONTENT) // count)
    return [CONTENT[start : start + size] for start in range(0, len(CONTENT), size)]


def complete(client: httpx.Client, upload_id: str) -> str:
    """Complete an upload as a client does that knows only what the server says is there."""
    parts = client.get(f"/v1/uploads/{upload_id}/parts").raise_for_status().json()["data"]
    answer = client.post(
        f"/v1/uploads/{upload_id}/complete",
        json={"part_ids": [part["id"] for part in parts], "sha256": SHA256},
    )
    file_id: str = answer.raise_for_status().json()["file"]["id"]
    return file_id


def downloaded_sha256(client: httpx.Client, file_id: str) -> str:
    content = client.get(f"/v1/files/{file_id}/content").raise_for_status().content
    return hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("client")
def test_the_stock_openai_client_uploads_in_parts(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(CONTENT)
    md5 = hashlib.md5(CONTENT).hexdigest()
    with OpenAI(base_url=f"{installation.url}/v1", api_key="ptk_x", max_retries=0) as stock:
        upload = stock.uploads.upload_file_chunked(
            file=path, mime_type="text/plain", purpose="fine-tune", part_size=300_000, md5=md5
        )
        assert (upload.status, upload.bytes) == ("completed", len(CONTENT))
        assert upload.file is not None
        assert (upload.file.filename, upload.file.purpose) == ("book.txt", "fine-tune")
        assert stock.files.content(upload.file.id).read() == CONTENT

        in_memory = stock.uploads.upload_file_chunked(
            file=CONTENT,
            filename="again.txt",
            bytes=len(CONTENT),
            mime_type="text/plain",
            purpose="fine-tune",
            part_size=250_000,
        )
        assert in_memory.file is not None
        assert in_memory.file.id != upload.file.id
        assert len(installation.keys()) == 4  # the pieces of the first


@pytest.mark.usefixtures("client")
def test_the_stock_openai_client_is_told_what_is_wrong(installation: Installation) -> None:
    with OpenAI(base_url=f"{installation.url}/v1", api_key="ptk_x", max_retries=2) as stock:
        upload = stock.uploads.create(
            bytes=6,
            filename="a.txt",
            mime_type="text/plain",
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert upload.status == "pending"
        assert upload.expires_at - upload.created_at == 86_400
        last = stock.uploads.parts.create(upload.id, data=b"def")
        stock.uploads.parts.create(upload.id, data=b"def")  # as a retry would
        first = stock.uploads.parts.create(upload.id, data=b"abc")
        with pytest.raises(UnprocessableEntityError) as short:
            stock.uploads.complete(upload.id, part_ids=[first.id])
        assert (short.value.code, short.value.param) == ("size_mismatch", "part_ids")
        with pytest.raises(UnprocessableEntityError) as other:
            stock.uploads.complete(upload.id, part_ids=[first.id, last.id], md5="0" * 32)
        assert (other.value.code, other.value.param) == ("digest_mismatch", "md5")
        done = stock.uploads.complete(upload.id, part_ids=[first.id, last.id])
        assert done.file is not None
        assert done.file.expires_at is not None
        assert stock.files.content(done.file.id).read() == b"abcdef"
        with pytest.raises(ConflictError) as late:
            stock.uploads.cancel(upload.id)
        assert late.value.code == "upload_completed"

        given_up = stock.uploads.create(
            bytes=6, filename="a.txt", mime_type="text/plain", purpose="fine-tune"
        )
        stock.uploads.parts.create(given_up.id, data=b"abc")
        assert stock.uploads.cancel(given_up.id).status == "cancelled"
        installation.set_quota(1000)
        with pytest.raises(RateLimitError) as too_much:
            stock.files.create(file=("a.txt", CONTENT), purpose="fine-tune")
        installation.set_quota(None)
        assert too_much.value.code == "insufficient_quota"
        assert too_much.value.response.headers["x-should-retry"] == "false"


def test_parts_go_to_several_processes_in_any_order_and_some_twice(
    installation: Installation, client: httpx.Client
) -> None:
    upload_id = create(client)
    parts = list(enumerate(cut_into(24)))
    wanted = [(server, *part) for part in parts for server in installation.servers]
    random.Random(1).shuffle(wanted)

    def send(server: Server, number: int, data: bytes) -> str:
        url = f"{server.url}/v1/uploads/{upload_id}/parts/{number}"
        part_id: str = httpx.put(url, content=data, timeout=60).raise_for_status().json()["id"]
        return part_id

    with ThreadPoolExecutor(8) as pool:
        part_ids = list(pool.map(lambda each: send(*each), wanted))
    assert len(set(part_ids)) == len(parts)
    assert len(installation.keys()) == len(parts)
    assert downloaded_sha256(client, complete(client, upload_id)) == SHA256


@pytest.mark.parametrize(
    "num_cuts",
    [20, pytest.param(100, marks=pytest.mark.exhaustive)],
)
def test_an_upload_that_is_cut_at_any_byte_goes_on(
    installation: Installation, client: httpx.Client, num_cuts: int
) -> None:
    chance = random.Random(num_cuts)
    upload_id = create(client)
    arrived: set[str] = set()
    for number, data in enumerate(cut_into(num_cuts)):
        form = chance.random() < 0.5
        request = part_request(upload_id, number, data, as_form=form)
        send_cut(installation, request, at=chance.randrange(1, len(request)))
        eventually(lambda: installation.num_reservations() == 0)
        assert installation.keys() == arrived
        client.put(f"/v1/uploads/{upload_id}/parts/{number}", content=data).raise_for_status()
        arrived = installation.keys()
        assert len(arrived) == number + 1
    assert downloaded_sha256(client, complete(client, upload_id)) == SHA256


@pytest.mark.parametrize("way", ["put", "form"])
def test_a_whole_file_that_is_cut_leaves_nothing(
    installation: Installation, client: httpx.Client, way: str
) -> None:
    chance = random.Random(way)
    request = (
        raw("PUT", "/v1/files/a.bin", CONTENT)
        if way == "put"
        else form_request("/v1/files", "file", CONTENT)
    )
    for _ in range(5):
        send_cut(installation, request, at=chance.randrange(len(request) // 2, len(request)))
        eventually(lambda: installation.num_reservations() == 0)
        assert installation.keys() == set()
    assert client.get("/v1/files").json()["data"] == []


def test_an_upload_goes_on_after_the_death_of_the_process(
    installation: Installation, client: httpx.Client
) -> None:
    upload_id = create(client)
    parts = cut_into(3)
    client.put(f"/v1/uploads/{upload_id}/parts/0", content=parts[0]).raise_for_status()
    whole = installation.keys()
    request = raw("PUT", f"/v1/uploads/{upload_id}/parts/1", parts[1])
    with socket.create_connection(("127.0.0.1", installation.servers[0].port)) as connection:
        connection.sendall(request[:-1000])
        eventually(lambda: installation.num_reservations() == 1)
        installation.servers[0].restart()
    eventually(lambda: installation.num_reservations() == 0)
    here = client.get(f"/v1/uploads/{upload_id}/parts").json()["data"]
    assert [(part["number"], part["sha256"]) for part in here] == [
        (0, hashlib.sha256(parts[0]).hexdigest())
    ]
    for leftover in installation.keys() - whole:  # the sweep takes them an hour later
        assert leftover.startswith(".staging/")
        (installation.data_dir / "store" / leftover).unlink()
    for number in (2, 1):
        client.put(f"/v1/uploads/{upload_id}/parts/{number}", content=parts[number])
    assert downloaded_sha256(client, complete(client, upload_id)) == SHA256


def part_request(upload_id: str, number: int, data: bytes, *, as_form: bool) -> bytes:
    """A request that adds a part, byte for byte."""
    path = f"/v1/uploads/{upload_id}/parts"
    if as_form:
        return form_request(path, "data", data)
    return raw("PUT", f"{path}/{number}", data)


def raw(method: str, path: str, body: bytes, content_type: str = "text/plain") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def form_request(path: str, field: str, data: bytes) -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="a"\r\n\r\n'
    body = head.encode() + data + b"\r\n--b--\r\n"
    return raw("POST", path, body, "multipart/form-data; boundary=b")


def send_cut(installation: Installation, request: bytes, *, at: int) -> None:
    """Send so many bytes of a request, then hang up once somebody deals with them."""
    with socket.create_connection(("127.0.0.1", installation.servers[0].port)) as connection:
        connection.sendall(request[:at])
        if b"\r\n\r\n" in request[:at]:  # the head is whole; before that, there is no request
            eventually(lambda: installation.num_reservations() == 1)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="the script needs curl, a system's package"
)
def test_the_script_of_the_readme_goes_on_after_a_cut(
    installation: Installation, client: httpx.Client, tmp_path: Path
) -> None:
    (blocks, _) = (ROOT / "README.md").read_text().split("\n```\n\nThe stock `openai` client")
    script = blocks.rpartition("```bash\n")[2]
    for ours, small in (("http://127.0.0.1:8000", installation.url), ("$((64 << 20))", "300000")):
        assert ours in script
        script = script.replace(ours, small)
    (tmp_path / "crawl.warc.gz").write_bytes(CONTENT)
    curl = tmp_path / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text(
        '#!/bin/sh\necho "$*" >> calls\n'
        'case "$*" in */parts/2) [ ! -e cut ] && touch cut && exit 1 ;; esac\n'
        f'exec {shutil.which("curl")} "$@"\n'
    )
    curl.chmod(0o755)
    environment = {**os.environ, "PATH": f"{curl.parent}:{os.environ['PATH']}"}

    def run() -> tuple[int, str]:
        (tmp_path / "calls").unlink(missing_ok=True)
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.strip().strip('"')

    assert run()[0] != 0
    code, file_id = run()
    assert code == 0
    assert "/parts/1" not in (tmp_path / "calls").read_text()
    assert downloaded_sha256(client, file_id) == SHA256
    assert client.get(f"/v1/files/{file_id}").json()["filename"] == "crawl.warc.gz"
