import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

START_SECONDS = 60.0
STOP_SECONDS = 60.0

pytestmark = pytest.mark.slow


class Up:
    """One `pretrainer up`, seen from outside: its output, its processes, its address."""

    def __init__(self, data_dir: Path, *options: str, cwd: Path) -> None:
        self.data_dir = data_dir
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "up", "--port", "0", "--data-dir", data_dir, *options],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output += line

    def wait_for(self, pattern: str) -> str:
        """The first group of the first match in the output."""
        eventually(lambda: re.search(pattern, self.output) or self.process.poll() is not None)
        found = re.search(pattern, self.output)
        assert found is not None, self.output
        return found[1]

    def url(self) -> str:
        return self.wait_for(r"ready +(http://\S+)")

    def children(self) -> dict[str, int]:
        """The newest process of each name that the output tells of."""
        started = re.findall(r"(\S+) +started \(process (\d+)\)", self.output)
        return {name: int(pid) for name, pid in started}

    def end(self, *signals: signal.Signals) -> int:
        for one in signals:
            self.process.send_signal(one)
        status = self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return status


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that is up, for tests that leave it so."""
    directory = tmp_path_factory.mktemp("up")
    up = Up(directory / "data", cwd=directory)
    try:
        up.url()
        yield up
    finally:
        up.end(signal.SIGTERM)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    begun: list[Up] = []

    def begin(*options: str) -> Up:
        begun.append(Up(tmp_path / "data", *options, cwd=tmp_path))
        return begun[-1]

    yield begin
    for up in begun:
        if up.process.poll() is None:
            up.end(signal.SIGTERM)


def test_service_is_ready_from_any_directory_and_leaves_nothing_when_it_stops(
    start: Callable[..., Up],
) -> None:
    up = start()
    url = up.url()
    everything = psutil.Process(up.process.pid).children(recursive=True)

    assert httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK
    assert set(up.children()) == {"broker", "api", "worker-corpus", "worker-train"}
    assert up.end(signal.SIGTERM) == 0
    assert all(is_gone(process) for process in everything)
    assert not (up.data_dir / "valkey" / "valkey.sock").exists()


def test_ctrl_c_twice_kills(start: Callable[..., Up]) -> None:
    up = start()
    up.url()
    everything = psutil.Process(up.process.pid).children(recursive=True)
    for child in everything:
        child.suspend()  # deaf to a polite request

    up.process.send_signal(signal.SIGINT)
    up.wait_for(r"(SIGINT): stopping")
    assert up.end(signal.SIGINT) == 1
    assert all(is_gone(process) for process in everything)


def test_everything_dies_with_a_killed_parent_and_the_directory_is_free_again(
    start: Callable[..., Up],
) -> None:
    up = start()
    up.url()
    everything = psutil.Process(up.process.pid).children(recursive=True)

    up.end(signal.SIGKILL)

    eventually(lambda: all(is_gone(process) for process in everything))
    assert start().url()


def test_second_service_on_the_same_directory_says_who_has_it(running: Up, tmp_path: Path) -> None:
    second = Up(running.data_dir, cwd=tmp_path)

    assert second.end() == 2
    assert "already belongs to a running service" in second.output
    assert f"process {running.process.pid}" in second.output
    assert running.url() in second.output


def test_taken_port_is_told_at_once(running: Up, tmp_path: Path) -> None:
    port = running.url().rpartition(":")[2]

    second = Up(tmp_path / "other", "--port", port, cwd=tmp_path)

    assert second.end() == 2
    assert f"Port {port} of 127.0.0.1 is taken" in second.output


def test_address_beyond_loopback_is_refused_without_keys(start: Callable[..., Up]) -> None:
    up = start("--host", "0.0.0.0")

    assert up.end() == 2
    assert "Refusing to listen on 0.0.0.0" in up.output


def test_parent_is_small_and_its_children_say_what_they_are(running: Up) -> None:
    children = {name: psutil.Process(pid) for name, pid in running.children().items()}

    maps = Path(f"/proc/{running.process.pid}/maps").read_text()
    assert "torch" not in maps
    assert "sqlalchemy" not in maps
    assert psutil.Process(running.process.pid).memory_info().rss < 80 * 2**20
    assert "uvicorn --factory api.app:create_app" in " ".join(children["api"].cmdline())
    for name in ("worker-corpus", "worker-train"):
        assert "celery -A workers.celery_app worker" in " ".join(children[name].cmdline())
    for child in (children["api"], children["worker-corpus"], children["worker-train"]):
        assert child.environ()["PRETRAINER_DATA_DIR"] == str(running.data_dir)
        assert os.getsid(child.pid) == child.pid


def test_killed_part_is_started_again_while_clients_wait(running: Up) -> None:
    first = running.children()

    for pid in first.values():
        os.kill(pid, signal.SIGKILL)

    eventually(lambda: not first.items() & running.children().items())
    with httpx.Client(trust_env=False, timeout=START_SECONDS) as client:
        eventually(lambda: client.get(f"{running.url()}/readyz").is_success)
