from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A running service whose leases end quickly, so that tests need not wait for them."""
    running = Service(tmp_path / "data", lease_seconds="6", heartbeat_seconds="1")
    with running:
        yield running
