"""How soon the API answers after its start, and how much memory it holds then.

python -m benchmarks.api_start

Promised: ready within 2 s, less than 150 MB. The figures of the last run are in
`benchmarks/results.md`.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.live_api import LiveApi

_RUNS = 5


def main() -> None:
    """Start it a few times; print the middle of the times and the most memory."""
    seconds, rss = [], []
    for _ in range(_RUNS):
        with tempfile.TemporaryDirectory() as directory, LiveApi(Path(directory)) as api:
            seconds.append(api.ready_seconds)
            rss.append(api.rss_bytes / 1e6)
    print(f"ready after {statistics.median(seconds):.2f} s (median of {_RUNS})")
    print(f"RSS {max(rss):.0f} MB (most of {_RUNS})")


if __name__ == "__main__":
    main()
