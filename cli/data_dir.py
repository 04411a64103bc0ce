"""One data directory, one service: the directory is locked for as long as its parent runs."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import Conflict

_LOCK_NAME = "lock"
_PRIVATE = 0o700


class DataDirectory:
    """A data directory that this process alone serves from.

    The kernel releases the lock when the process ends, however it ends; children do not inherit
    it, so one that outlives its parent never keeps the next parent out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock_fd: int | None = None

    def __enter__(self) -> Self:
        """Make the directory if it is new, and lock it.

        Raises:
            Conflict: another service runs on it.
        """
        for directory in (self.path, self.log_dir):
            directory.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        lock_fd = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock_fd, 1000).decode(errors="replace").strip()
            os.close(lock_fd)
            raise Conflict(
                f"{self.path} already belongs to a running service ({owner or 'starting'}). "
                "Stop that one first, or choose another place with --data-dir.",
                code="data_dir_in_use",
            ) from None
        self._lock_fd = lock_fd
        self.describe_owner(f"process {os.getpid()}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the directory to the next service."""
        assert self._lock_fd is not None
        os.ftruncate(self._lock_fd, 0)
        os.close(self._lock_fd)
        self._lock_fd = None

    def describe_owner(self, text: str) -> None:
        """What another service that wants this directory tells its user."""
        assert self._lock_fd is not None
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, text.encode(), 0)

    @property
    def log_dir(self) -> Path:
        """Where every process writes its log."""
        return self.path / "logs"
