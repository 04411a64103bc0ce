from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from core.errors import BadData
from training.prefetch import Prefetch


@dataclass
class Batches:
    """A loader that remembers who asked for what."""

    num_steps: int | None = None
    asked: list[int] = field(default_factory=list)
    by_threads: set[str] = field(default_factory=set)

    def batch(self, step: int) -> str:
        if step == 13:
            raise BadData("a shard is broken")
        self.asked.append(step)
        self.by_threads.add(threading.current_thread().name.partition("_")[0])
        return f"batch {step}"


def test_each_batch_is_made_once_and_the_next_one_by_a_thread() -> None:
    loader = Batches(num_steps=4)
    with Prefetch(loader) as batches:  # type: ignore[arg-type]
        assert [str(batches.batch(step)) for step in range(4)] == [f"batch {n}" for n in range(4)]
    assert loader.asked == [0, 1, 2, 3]
    assert loader.by_threads == {"MainThread", "loader"}


def test_a_step_that_nobody_expected_gets_its_own_batch() -> None:
    with Prefetch(Batches()) as batches:  # type: ignore[arg-type]
        assert [str(batches.batch(step)) for step in (5, 9, 10, 2)] == [
            "batch 5", "batch 9", "batch 10", "batch 2",
        ]  # fmt: skip


def test_what_goes_wrong_with_a_batch_is_told_to_who_wants_it() -> None:
    with Prefetch(Batches()) as batches:  # type: ignore[arg-type]
        assert str(batches.batch(12)) == "batch 12"
        with pytest.raises(BadData, match="shard"):
            batches.batch(13)
