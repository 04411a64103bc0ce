from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.objectives import CausalObjective
from corpora.mixture import BLOCK, MixedWindows, mixed
from corpora.objectives import remover_for
from corpora.vocabulary import END_OF_TEXT
from corpora.windows import TokenWindows
from tests.tiny_text import Stream, vocabulary

LENGTH = 16


def windows_of(first_token: int, num_windows: int) -> TokenWindows:
    """Windows that can be told by their tokens: those of a source begin with its own."""
    tokens = np.arange(num_windows * LENGTH) % 90 + first_token
    tokens[::LENGTH] = first_token + 90 + np.arange(num_windows) % 10
    tokens[0] = END_OF_TEXT
    remover = remover_for(CausalObjective(), vocabulary=vocabulary(), context_length=LENGTH)
    return TokenWindows(Stream(tokens), remover)


def mixture(*shares: float, sizes: tuple[int, ...] = (40, 7, 300)) -> MixedWindows:
    sources = [windows_of(100 * (k + 1), sizes[k]) for k in range(len(shares))]
    made = mixed(sources, shares=shares)
    assert isinstance(made, MixedWindows)
    return made


@given(
    weights=st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=64),
    seed=st.integers(0, 2**63 - 1),
    block=st.integers(0, 10**9),
)
def test_every_block_holds_the_same_number_from_each_corpus(
    weights: list[float], seed: int, block: int
) -> None:
    shares = tuple(weight / sum(weights) for weight in weights)
    sources = tuple(windows_of(100, 5) for _ in weights)
    made = MixedWindows(sources, shares)
    drawn, _ = made.places(np.arange(BLOCK) + block * BLOCK, seed=seed)
    counts = np.bincount(drawn, minlength=len(weights))
    assert counts.tolist() == made.per_block.tolist()
    assert counts.min() >= 1
    exact = np.array(shares) * BLOCK
    # but for those that get one sample though less would be theirs
    assert (np.abs(counts - exact) <= 1 + (exact < 1).sum()).all()


def test_samples_come_from_the_corpus_that_their_place_names() -> None:
    made = mixture(0.5, 0.2, 0.3)
    indices = np.arange(3 * BLOCK)
    sources, _ = made.places(indices, seed=4)
    ids = made.samples(indices, seed=4).input_ids
    assert np.array_equal(ids[:, 1] // 100 - 1, sources)


def test_each_epoch_of_a_corpus_takes_each_of_its_windows_once() -> None:
    made = mixture(0.75, 0.25, sizes=(1000, 300, 0))
    indices = np.arange(4 * BLOCK)
    sources, numbers = made.places(indices, seed=1)
    for number in (0, 1):
        mine = np.sort(numbers[sources == number])
        assert np.array_equal(mine, np.arange(len(mine)))
    assert made.epochs(4 * BLOCK) == [3 * BLOCK / 1000, BLOCK / 300]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=50), st.integers(0, 2**63 - 1))
def test_any_samples_in_any_order_are_those_of_the_whole_row(indices: list[int], seed: int) -> None:
    made = mixture(0.6, 0.1, 0.3)
    together = made.samples(np.array(indices), seed=seed)
    for row, index in enumerate(indices):
        alone = made.samples(np.array([index]), seed=seed)
        assert np.array_equal(alone.input_ids[0], together.input_ids[row])


def test_other_seeds_mix_in_another_order() -> None:
    made = mixture(0.5, 0.5)
    first, _ = made.places(np.arange(100), seed=1)
    second, _ = made.places(np.arange(100), seed=2)
    assert not np.array_equal(first, second)


def test_blocks_have_orders_of_their_own() -> None:
    drawn, _ = mixture(0.5, 0.5).places(np.arange(2 * BLOCK), seed=1)
    assert not np.array_equal(drawn[:BLOCK], drawn[BLOCK:])


def test_corpus_alone_is_not_mixed() -> None:
    alone = windows_of(100, 10)
    assert mixed([alone], shares=[1.0]) is alone


def test_readings_are_of_the_samples() -> None:
    made = mixture(0.5, 0.5)
    indices = np.arange(20)
    ids = made.samples(indices, seed=1).input_ids
    for reading, row in zip(made.readings(indices, seed=1), ids, strict=True):
        assert np.array_equal(reading.tokens[:-1], row)


def test_shares_that_round_alike_still_fill_a_block() -> None:
    thirds = mixture(1 / 3, 1 / 3, 1 / 3)
    assert sorted(thirds.per_block.tolist()) == [682, 683, 683]
    tiny = mixture(0.999999, 0.000001)
    assert tiny.per_block.tolist() == [BLOCK - 1, 1]
    assert tiny.epochs(BLOCK)[1] == pytest.approx(1 / 7)
