from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Unavailable
from services.doorbell import CeleryDoorbell


def test_ring_without_a_broker_costs_nothing_and_check_says_so(tmp_path: Path) -> None:
    doorbell = CeleryDoorbell(f"redis+socket://{tmp_path}/no.sock")
    doorbell.ring(["train.1"] * 5)
    with pytest.raises(Unavailable):
        doorbell.check()
    doorbell.close(timeout_seconds=0.1)
