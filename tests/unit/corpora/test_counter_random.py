from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpora.counter_random import (
    Use,
    derive_key,
    permuted,
    random_bits,
    random_shares,
    sample_keys,
)


@given(st.integers(1, 5000), st.integers(0, 2**63 - 1))
def test_permutation_hits_every_position_once(size: int, seed: int) -> None:
    shuffled = permuted(np.arange(size), size=size, key=derive_key(seed, Use.SHUFFLE))
    assert np.array_equal(np.sort(shuffled), np.arange(size))


def test_permutation_sends_a_position_where_it_goes_alone() -> None:
    key = derive_key(7, Use.SHUFFLE)
    together = permuted(np.arange(1000), size=1000, key=key)
    alone = [int(permuted(np.array([place]), size=1000, key=key)[0]) for place in range(1000)]
    assert together.tolist() == alone


def test_permutation_leaves_no_trace_of_the_order() -> None:
    size = 10_000
    shuffled = permuted(np.arange(size), size=size, key=derive_key(1, Use.SHUFFLE))
    correlation = np.corrcoef(np.arange(size), shuffled)[0, 1]
    assert abs(correlation) < 0.05
    assert (np.diff(shuffled) == 1).sum() < 10


def test_other_seeds_and_other_uses_give_other_permutations() -> None:
    keys = [derive_key(seed, use) for seed in range(3) for use in Use]
    orders = {tuple(permuted(np.arange(100), size=100, key=key).tolist()) for key in keys}
    assert len(orders) == len(keys)


def test_random_bits_are_each_set_half_of_the_time() -> None:
    bits = random_bits(derive_key(5, 0), np.arange(20_000, dtype=np.uint64))
    for place in range(64):
        share = ((bits >> np.uint64(place)) & np.uint64(1)).mean()
        assert 0.48 < share < 0.52


def test_random_bits_are_those_of_splitmix64() -> None:
    # the first outputs for the seed 1234567, as published with the reference implementation
    counters = np.arange(1, 4, dtype=np.uint64)
    assert random_bits(1234567, counters).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_shares_are_spread_evenly_below_one() -> None:
    drawn = random_shares(derive_key(1, Use.PART), np.arange(100_000, dtype=np.uint64))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts, _ = np.histogram(drawn, bins=10, range=(0, 1))
    assert np.abs(counts - 10_000).max() < 400


def test_each_sample_and_each_use_has_a_key_of_its_own() -> None:
    samples = np.arange(1000)
    keys = np.concatenate([sample_keys(7, use, samples).ravel() for use in Use])
    assert len(np.unique(keys)) == len(Use) * 1000
