"""What an earlier parent of the same data directory may have left running.

Children die with their parent by the kernel's hand; this is for the one that could not, and it
never touches a process that merely got the same pid.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from core.processes import ProcessIdentity

_FILE_NAME: Final = "processes.json"
_DEATH_SECONDS: Final = 5.0


def record(data_dir: Path, children: Mapping[str, ProcessIdentity]) -> None:
    """Write down who runs now, whole or not at all."""
    path = data_dir / _FILE_NAME
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({name: child.as_json() for name, child in children.items()}))
    os.replace(fresh, path)  # noqa: PTH105 - says what it does: atomically


def kill_leftovers(data_dir: Path) -> list[str]:
    """Kill what is still alive of an earlier parent's children; returns their names."""
    alive = {
        name: child
        for name, child in _recorded(data_dir / _FILE_NAME).items()
        if child.is_local and not child.is_known_dead
    }
    for child in alive.values():
        child.kill_group()
    deadline = time.monotonic() + _DEATH_SECONDS
    while time.monotonic() < deadline:
        if all(child.is_known_dead for child in alive.values()):
            break
        time.sleep(0.05)
    record(data_dir, {})
    return list(alive)


def _recorded(path: Path) -> dict[str, ProcessIdentity]:
    try:
        entries = json.loads(path.read_text())
        return {name: ProcessIdentity.from_json(entry) for name, entry in entries.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}
