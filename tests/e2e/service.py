"""A whole running service for tests: ``pretrainer up`` in a directory of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psutil

T = TypeVar("T")

START_SECONDS = 60.0
STOP_SECONDS = 60.0

PROCESS_KINDS = {
    "api": re.compile(r"uvicorn"),
    "celery": re.compile(r"celery .*\bworker\b"),
    "runner": re.compile(r"-m workers\.runner\b"),
    "trainer": re.compile(r"-m workers\.trainer_process\b"),
    "corpus_process": re.compile(r"-m workers\.corpus_process\b"),
    "broker": re.compile(r"valkey-server"),
}


class Deadline(AssertionError):
    """What a test waited for did not come in time."""


def wait_until(condition: Callable[[], T | None], *, seconds: float, what: str) -> T:
    """The first true value of ``condition``; fails loudly when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Deadline(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


class Api:
    """The API of a running service, as a client sees it."""

    client: httpx.Client

    def connect(self, base_url: str) -> None:
        """Talk to the API at an address from now on, as soon as it is ready."""
        self.client = httpx.Client(base_url=base_url, timeout=30.0)
        wait_until(self.is_ready, seconds=START_SECONDS, what="/readyz")

    def is_ready(self) -> bool:
        """Whether every part answers."""
        try:
            return self.client.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def get(self, path: str, **query: Any) -> Any:
        """GET, patient while the API is being restarted."""

        def answer() -> httpx.Response | None:
            try:
                response = self.client.get(path, params=query)
            except httpx.TransportError:
                return None
            return None if response.is_server_error else response

        response = wait_until(answer, seconds=START_SECONDS, what=f"GET {path}")
        response.raise_for_status()
        return response.json()

    def post(self, path: str, **arguments: Any) -> Any:
        """POST once."""
        response = self.client.post(path, **arguments)
        assert response.is_success, response.text
        return response.json()

    def wait_for_job(self, job_id: str, *, seconds: float) -> Any:
        """The job once it has ended, whatever its end."""

        def ended() -> Any:
            job = self.get(f"/v1/jobs/{job_id}")
            return job if job["status"] in {"succeeded", "failed", "cancelled"} else None

        return wait_until(ended, seconds=seconds, what=f"the end of {job_id}")

    def wait_for_step(self, job_id: str, step: int, *, seconds: float) -> None:
        """Return once the job has come so far."""

        def is_there() -> bool:
            return bool(self.get(f"/v1/jobs/{job_id}")["progress"]["step"] >= step)

        wait_until(is_there, seconds=seconds, what=f"step {step} of {job_id}")


class Service(Api):
    """Starts, watches, kills and stops one installation through its command and its API alone."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.settings = settings
        self.log = data_dir.parent / f"{data_dir.name}-up.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it on a free port and wait until it is ready."""
        environment = os.environ | {f"PRETRAINER_{k.upper()}": v for k, v in self.settings.items()}
        command = [sys.executable, "-m", "cli.main", "up", "--port", "0"]
        with self.log.open("ab") as log:
            start = log.tell()
            self.parent = subprocess.Popen(
                [*command, "--data-dir", str(self.data_dir)],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

        def url() -> str | None:
            if self.parent.poll() is not None:
                raise Deadline(f"pretrainer up ended:\n{self.log.read_text()}")
            found = re.search(r"http://[\d.]+:\d+", self.log.read_bytes()[start:].decode())
            return found[0] if found else None

        self.connect(
            wait_until(url, seconds=START_SECONDS, what="the address in the output of `up`")
        )

    def stop(self) -> None:
        """Drain and end it, as Ctrl-C does."""
        self.client.close()
        processes = self.processes()
        if self.parent.poll() is None:
            self.parent.send_signal(signal.SIGTERM)
            self.parent.wait(STOP_SECONDS)
        _, alive = psutil.wait_procs(processes, timeout=5)
        for process in alive:
            process.kill()
        assert not alive, f"left running: {[p.pid for p in alive]}"

    def processes(self, kind: str | None = None) -> list[psutil.Process]:
        """The living descendants of the parent, all or of one kind."""
        found = []
        try:
            descendants = psutil.Process(self.parent.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        for process in descendants:
            try:
                line = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if kind is None or PROCESS_KINDS[kind].search(line):
                found.append(process)
        return found

    def kill(self, kind: str) -> None:
        """Kill -9 every process of a kind; there must be one."""
        victims = wait_until(
            lambda: self.processes(kind), seconds=START_SECONDS, what=f"a process of kind {kind}"
        )
        for victim in victims:
            victim.kill()
