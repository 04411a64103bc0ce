"""What the host of a job has for it: cores and memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MEMORY_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of a container, by the second and the first version of control groups."""


def num_cores() -> int:
    """The cores that this process may use, which containers limit below the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host_memory(limits: tuple[Path, ...] = _MEMORY_LIMITS) -> int:
    """The bytes that this process may have: the machine's, or its container's."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in limits:
        try:
            found.append(int(limit.read_text()))
        except (OSError, ValueError):  # there is none of this version, or it says "max"
            continue
    return min(found)
