from __future__ import annotations

import numpy as np
import pytest

from core.errors import BadData, InvalidRequest
from core.objectives import (
    AnyObjective,
    CausalObjective,
    FillInTheMiddleObjective,
    MaskedObjective,
    MixedPart,
    MixObjective,
    SpanCorruptionObjective,
    Stage,
    StagedObjective,
)
from core.spec import Budget
from corpora.vocabulary import END_OF_TEXT
from tests.tiny_text import Stream, documents, stream, stream_of, vocabulary
from training.loader import Batch, Loader, Source

NUM_STEPS = 200
MIX = MixObjective(
    parts=(
        MixedPart(objective=CausalObjective()),
        MixedPart(objective=SpanCorruptionObjective(), weight=2),
        MixedPart(objective=FillInTheMiddleObjective()),
    )
)
SIMPLE: list[AnyObjective] = [
    CausalObjective(),
    MaskedObjective(),
    SpanCorruptionObjective(),
    FillInTheMiddleObjective(),
    MIX,
]
OBJECTIVES: list[AnyObjective] = [
    *SIMPLE,
    StagedObjective(
        stages=(
            Stage(until=0.25, objective=CausalObjective()),
            Stage(until=0.7, objective=MIX),
            Stage(objective=SpanCorruptionObjective()),
        )
    ),
    StagedObjective(
        stages=(
            Stage(until=0.5, objective=CausalObjective(document_mask=True)),
            Stage(objective=MaskedObjective()),
        )
    ),
]


def loader(
    objective: AnyObjective,
    *,
    sequences_per_step: int = 8,
    seed: int = 1,
    num_steps: int = NUM_STEPS,
    rank: int = 0,
    num_ranks: int = 1,
) -> Loader:
    return Loader(
        [Source("corpus_1", 1.0, stream())],
        objective=objective,
        vocabulary=vocabulary(),
        context_length=64,
        sequences_per_step=sequences_per_step,
        seed=seed,
        budget=Budget(steps=num_steps),
        rank=rank,
        num_ranks=num_ranks,
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
def test_batch_of_a_step_does_not_depend_on_what_was_read_before(objective: AnyObjective) -> None:
    read_in_order, resumed = loader(objective), loader(objective)
    forwards = [read_in_order.batch(step) for step in range(NUM_STEPS)]
    for step in (199, 3, 120):
        assert_equal(resumed.batch(step), forwards[step])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_samples_do_not_depend_on_how_many_make_a_step(objective: AnyObjective) -> None:
    eight = loader(objective)
    four = loader(objective, sequences_per_step=4, num_steps=2 * NUM_STEPS)
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
    for objective in SIMPLE:
        batches = [loader(objective).batch(step) for step in range(100)]
        assert len({(batch.input_ids.shape, batch.labels.shape) for batch in batches}) == 1
        assert all(batch.loss_mask.shape == batch.labels.shape for batch in batches)
        assert all(batch.loss_mask.any(axis=1).all() for batch in batches)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_ranks_make_the_parts_of_the_very_same_step(objective: AnyObjective) -> None:
    whole = loader(objective)
    ranks = [loader(objective, rank=rank, num_ranks=4) for rank in range(4)]
    for step in (0, 3, 7):
        batch, parts = whole.batch(step), [rank.batch(step) for rank in ranks]
        together = np.concatenate([part.input_ids for part in parts])
        assert np.array_equal(together, batch.input_ids)
        assert np.array_equal(np.concatenate([part.labels for part in parts]), batch.labels)
        assert sum(part.num_labels for part in parts) == batch.num_labels
        assert {part.num_tokens for part in parts} == {batch.num_tokens}


def test_a_step_that_ranks_cannot_share_evenly_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="8 sequences, and 3 devices") as caught:
        loader(CausalObjective(), num_ranks=3)
    assert caught.value.param == "batch_tokens"


def test_stages_follow_each_other_at_their_shares_of_the_budget() -> None:
    staged = StagedObjective(
        stages=(
            Stage(until=0.5, objective=CausalObjective()),
            Stage(objective=SpanCorruptionObjective()),
        )
    )
    both = loader(staged, num_steps=10)
    first, second = loader(CausalObjective()), loader(SpanCorruptionObjective())
    for step in range(10):
        assert_equal(both.batch(step), (first if step < 5 else second).batch(step))


def test_an_encoder_sees_later_tokens_only_where_none_of_them_is_asked_for() -> None:
    *_, staged = OBJECTIVES
    begun_causally = loader(staged, num_steps=10)
    assert [begun_causally.batch(step).causal for step in range(10)] == [True] * 5 + [False] * 5
    assert [begun_causally.is_in_last_stage(step) for step in (0, 4, 5)] == [False, False, True]
    assert loader(CausalObjective()).batch(0).causal
    assert not loader(MaskedObjective()).batch(0).causal


def test_budget_in_epochs_has_as_many_steps_as_its_windows_need() -> None:
    two = Loader(
        [Source("corpus_1", 1.0, stream())],
        objective=CausalObjective(),
        vocabulary=vocabulary(),
        context_length=64,
        sequences_per_step=8,
        seed=1,
        budget=Budget(epochs=2),
    )
    assert two.num_steps == round(2 * two.num_windows / 8)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_mixture_of_corpora_is_found_at_any_step(objective: AnyObjective) -> None:
    def mixture() -> Loader:
        return Loader(
            [
                Source("large", 0.7, stream()),
                Source("small", 0.3, stream_of(*documents()[:5])),
            ],
            objective=objective,
            vocabulary=vocabulary(),
            context_length=64,
            sequences_per_step=8,
            seed=3,
            budget=Budget(steps=NUM_STEPS),
        )

    read_in_order, resumed = mixture(), mixture()
    forwards = [read_in_order.batch(step) for step in range(NUM_STEPS)]
    for step in (199, 3, 120):
        assert_equal(resumed.batch(step), forwards[step])
    epochs = resumed.epochs(NUM_STEPS)
    assert set(epochs) == {"data/epochs/large", "data/epochs/small"}
    assert epochs["data/epochs/small"] > 2 * epochs["data/epochs/large"]
    assert mixture().num_windows > loader(objective).num_windows


def test_corpus_alone_reports_no_epochs() -> None:
    assert loader(CausalObjective()).epochs(10) == {}


def test_same_window_loses_other_words_in_the_next_epoch() -> None:
    tiny = Loader(
        [Source("corpus_1", 1.0, Stream([END_OF_TEXT, *range(500, 560)]))],
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
            [Source("corpus_1", 1.0, Stream([]))],
            objective=CausalObjective(),
            vocabulary=vocabulary(),
            context_length=16,
            sequences_per_step=1,
            seed=0,
            budget=Budget(steps=1),
        )
