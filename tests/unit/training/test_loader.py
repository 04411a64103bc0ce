from __future__ import annotations

import numpy as np
import pytest

from core.errors import BadData
from core.objectives import CausalObjective, MaskedObjective, Objective
from core.spec import Budget
from corpora.vocabulary import END_OF_TEXT
from tests.tiny_text import Stream, stream, vocabulary
from training.loader import Batch, Loader

OBJECTIVES: list[Objective] = [CausalObjective(), MaskedObjective()]


def loader(objective: Objective, *, sequences_per_step: int = 8, seed: int = 1) -> Loader:
    return Loader(
        stream(),
        objective=objective,
        vocabulary=vocabulary(),
        context_length=64,
        sequences_per_step=sequences_per_step,
        seed=seed,
        budget=Budget(steps=1000),
    )


def assert_equal(first: Batch, second: Batch) -> None:
    assert np.array_equal(first.input_ids, second.input_ids)
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.loss_mask, second.loss_mask)
    if first.positions is None:
        assert second.positions is None
    else:
        assert second.positions is not None
        assert np.array_equal(first.positions, second.positions)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_batch_of_a_step_does_not_depend_on_what_was_read_before(objective: Objective) -> None:
    read_in_order, resumed = loader(objective), loader(objective)
    forwards = [read_in_order.batch(step) for step in range(200)]
    for step in (199, 3, 120):
        assert_equal(resumed.batch(step), forwards[step])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_samples_do_not_depend_on_how_many_make_a_step(objective: Objective) -> None:
    eight, four = loader(objective), loader(objective, sequences_per_step=4)
    halves = [four.batch(6), four.batch(7)]
    whole = eight.batch(3)
    assert np.array_equal(whole.input_ids, np.concatenate([half.input_ids for half in halves]))
    assert np.array_equal(whole.labels, np.concatenate([half.labels for half in halves]))


def test_an_epoch_shows_each_window_once() -> None:
    one_by_one = loader(CausalObjective(), sequences_per_step=1)
    num_windows = one_by_one.num_windows
    assert num_windows > 100
    for epoch in range(2):
        first = epoch * num_windows
        seen = {one_by_one.batch(first + k).input_ids.tobytes() for k in range(num_windows)}
        assert len(seen) == num_windows


def test_an_epoch_is_counted_in_tokens_of_whole_windows() -> None:
    causal = loader(CausalObjective())
    assert causal.tokens_per_epoch == causal.num_windows * 64
    assert 0 <= causal.tokens_per_epoch - stream().num_tokens < 64
    assert causal.batch(0).num_tokens == 8 * 64


def test_shapes_are_the_same_in_every_step() -> None:
    for objective in OBJECTIVES:
        batches = [loader(objective).batch(step) for step in range(100)]
        assert len({(batch.input_ids.shape, batch.labels.shape) for batch in batches}) == 1
        assert all(batch.loss_mask.shape == batch.labels.shape for batch in batches)
        assert all(batch.loss_mask.any(axis=1).all() for batch in batches)


def test_same_window_loses_other_words_in_the_next_epoch() -> None:
    tiny = Loader(
        Stream([END_OF_TEXT, *range(500, 560)]),
        objective=MaskedObjective(),
        vocabulary=vocabulary(),
        context_length=64,
        sequences_per_step=1,
        seed=1,
        budget=Budget(steps=1),
    )
    assert tiny.num_windows == 1
    assert not np.array_equal(tiny.batch(0).input_ids, tiny.batch(1).input_ids)


def test_other_seeds_give_other_batches() -> None:
    first = loader(CausalObjective(), seed=1).batch(0)
    second = loader(CausalObjective(), seed=2).batch(0)
    assert not np.array_equal(first.input_ids, second.input_ids)


def test_split_without_tokens_is_bad_data() -> None:
    with pytest.raises(BadData, match="no text"):
        Loader(
            Stream([]),
            objective=CausalObjective(),
            vocabulary=vocabulary(),
            context_length=16,
            sequences_per_step=1,
            seed=0,
            budget=Budget(steps=1),
        )
