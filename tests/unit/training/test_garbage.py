from __future__ import annotations

import gc

import pytest

from training.garbage import collected_on_request


class Knot:
    """What only the collector can undo."""

    def __init__(self, undone: list[str]) -> None:
        self._itself = self
        self._undone = undone

    def __del__(self) -> None:
        self._undone.append("undone")


def test_garbage_waits_until_somebody_asks() -> None:
    undone: list[str] = []
    with collected_on_request():
        for _ in range(10_000):
            Knot(undone)
        assert undone == []
        gc.collect()
        assert len(undone) == 10_000
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_the_collector_is_as_before_even_after_an_error() -> None:
    with pytest.raises(ValueError, match="wrong"), collected_on_request():
        raise ValueError("wrong")
    assert gc.isenabled()
