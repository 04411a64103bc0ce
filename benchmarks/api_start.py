"""How soon the API answers after its start, and how much memory it holds then.

python -m benchmarks.api_start

Promised: ready within 2 s on a machine that does nothing else, less than 150 MB.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.live_api import LiveApi

_RUNS = 5


def main() -> None:
    """Start it a few times; print the middle of the times and the most memory."""
    seconds, cpu_seconds, rss = [], [], []
    for _ in range(_RUNS):
        with tempfile.TemporaryDirectory() as directory, LiveApi(Path(directory)) as api:
            seconds.append(api.ready_seconds)
            cpu_seconds.append(api.cpu_seconds)
            rss.append(api.rss_bytes / 1e6)
    print(f"ready after {statistics.median(seconds):.2f} s (median of {_RUNS})")
    print(f"of which computing {statistics.median(cpu_seconds):.2f} s")
    print(f"RSS {max(rss):.0f} MB (most of {_RUNS})")


if __name__ == "__main__":
    main()
