from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.objectives import AnySimple, CausalObjective, MaskedObjective
from corpora.objectives import remover_for
from corpora.vocabulary import END_OF_TEXT, PAD
from corpora.windows import TokenWindows
from tests.tiny_text import Stream, vocabulary

OBJECTIVES: list[AnySimple] = [CausalObjective(), MaskedObjective()]


def windows_of(num_tokens: int, objective: AnySimple, context_length: int = 16) -> TokenWindows:
    stream = Stream([END_OF_TEXT, *range(100, 99 + num_tokens)][:num_tokens])
    remover = remover_for(objective, vocabulary=vocabulary(), context_length=context_length)
    return TokenWindows(stream, remover)


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(num_tokens=st.integers(1, 300))
def test_every_token_but_the_first_can_be_predicted(objective: AnySimple, num_tokens: int) -> None:
    windows = windows_of(num_tokens, objective)
    tokens = windows.read(np.arange(windows.count))
    inner = tokens[:, 1:] if isinstance(objective, CausalObjective) else tokens[:, 1:-1]
    expected = set(range(100, 99 + num_tokens))
    assert expected <= set(inner.ravel().tolist()) <= expected | {END_OF_TEXT, PAD}


def test_windows_stand_side_by_side_and_the_last_ends_with_the_split() -> None:
    windows = windows_of(40, CausalObjective())
    assert windows.count == 3
    assert windows.starts(np.arange(3)).tolist() == [0, 16, 24]
    assert windows.read(np.array([2]))[0, -1] == END_OF_TEXT


def test_split_shorter_than_a_window_is_filled_up() -> None:
    windows = windows_of(5, CausalObjective())
    assert windows.count == 1
    expected = [END_OF_TEXT, 100, 101, 102, 103, END_OF_TEXT, *[PAD] * 11]
    assert windows.read(np.array([0]))[0].tolist() == expected


def test_empty_split_has_no_windows() -> None:
    assert windows_of(0, CausalObjective()).count == 0


@given(st.integers(2, 400), st.integers(0, 2**63 - 1), st.integers(0, 5))
def test_each_epoch_takes_each_window_once(num_tokens: int, seed: int, epoch: int) -> None:
    windows = windows_of(num_tokens, CausalObjective())
    samples = np.arange(epoch * windows.count, (epoch + 1) * windows.count)
    taken = windows.of_samples(samples, seed=seed)
    assert np.array_equal(np.sort(taken), np.arange(windows.count))


def test_epochs_have_different_orders() -> None:
    windows = windows_of(1000, CausalObjective())
    two = windows.of_samples(np.arange(2 * windows.count), seed=1)
    assert not np.array_equal(two[: windows.count], two[windows.count :])
