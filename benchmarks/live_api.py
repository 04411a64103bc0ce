"""A live API process for the benchmarks: uvicorn on a free port, a data directory of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx
import psutil

from db.engine import Database

_ROOT = Path(__file__).resolve().parent.parent


class LiveApi:
    """Started on entering, ended on leaving."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.ready_seconds = 0.0

    def __enter__(self) -> Self:
        """Start it and wait until it is ready."""
        Database(f"sqlite:///{self._data_dir / 'pretrainer.db'}").migrate()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        started_at = time.perf_counter()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "--factory", "api.app:create_app"),
                *("--port", str(self.port), "--log-level", "warning"),
            ],
            env={**os.environ, "PRETRAINER_DATA_DIR": str(self._data_dir)},
            cwd=_ROOT,
        )
        self._wait_until_ready()
        self.ready_seconds = time.perf_counter() - started_at
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def rss_bytes(self) -> int:
        """The memory it holds now."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    @property
    def written_bytes(self) -> int:
        """What it has caused to be written to disks so far; 0 on a file system in memory."""
        return int(psutil.Process(self._process.pid).io_counters().write_bytes)

    @property
    def cpu_seconds(self) -> float:
        """What it has computed so far, whatever else the machine does."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def _wait_until_ready(self) -> None:
        while self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.01)
        raise RuntimeError(f"the API ended with {self._process.returncode}")
