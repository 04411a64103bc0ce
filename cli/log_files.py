"""Logs that cannot fill the disk.

Children write straight into their file, so that the parent never stands between a process and its
log. A file that has grown too big is copied aside and emptied in place, which is safe because every
writer appends; lines written between the two are lost, and that is the price.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

MAX_LOG_BYTES: Final = 16 * 2**20
_TAIL_BYTES: Final = 8192


def open_log(path: Path) -> int:
    """A descriptor that appends to ``path``; the caller closes it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def cap(path: Path, *, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Move a log that is bigger than ``max_bytes`` to ``<name>.1`` and begin anew."""
    if path.exists() and path.stat().st_size > max_bytes:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def tail(path: Path, *, num_lines: int = 15) -> list[str]:
    """The last lines of a log, for someone who wonders why a process died."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-num_lines:]
