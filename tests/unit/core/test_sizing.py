from __future__ import annotations

import pytest

from core.objectives import CausalObjective, MaskedObjective, Stage, StagedObjective
from core.presets import PRESETS
from core.sizing import (
    default_batch_tokens,
    default_learning_rate,
    default_vocab_size,
    flops_per_token,
    largest_divisor,
    num_parameters,
)
from core.spec import Budget


@pytest.mark.parametrize(
    ("architecture", "name", "vocab_size", "millions"),
    [
        ("decoder", "tiny", 4096, 1.4),
        ("decoder", "small", 8192, 17),
        ("decoder", "base", 32768, 135),
        ("decoder", "medium", 32768, 375),
        ("decoder", "large", 65536, 1200),
        ("encoder", "base", 50368, 149),
    ],
)
def test_presets_have_the_size_that_their_table_promises(
    architecture: str, name: str, vocab_size: int, millions: float
) -> None:
    shape = PRESETS[architecture][name].shape(vocab_size=vocab_size)  # type: ignore[index]
    assert num_parameters(shape) / 1e6 == pytest.approx(millions, rel=0.04)


def test_training_costs_six_operations_a_matrix_weight_and_a_little_for_attention() -> None:
    shape = PRESETS["decoder"]["small"].shape(vocab_size=8192)
    assert 6 < flops_per_token(shape) / num_parameters(shape) < 7.5


def test_an_encoder_pays_for_its_output_at_the_removed_places_alone() -> None:
    shape = PRESETS["encoder"]["tiny"].shape(vocab_size=4096)
    everywhere = flops_per_token(shape)
    output = 6 * (4096 * 128 + 128 * 128)
    masked = MaskedObjective(rate=0.3)
    assert flops_per_token(shape, objective=masked) == pytest.approx(everywhere - 0.7 * output)
    staged = StagedObjective(
        stages=(
            Stage(until=0.25, objective=CausalObjective()),
            Stage(until=1.0, objective=masked),
        )
    )
    assert flops_per_token(shape, objective=staged) == pytest.approx(
        everywhere - 0.75 * 0.7 * output
    )


def test_the_vocabulary_grows_with_the_text_and_is_a_multiple_of_64() -> None:
    sizes = [default_vocab_size(10**power) for power in range(5, 13)]
    assert sizes == sorted(sizes)
    assert all(size % 64 == 0 for size in sizes)


def test_the_first_limit_of_a_budget_counts() -> None:
    budget = Budget(tokens=10_000, steps=50, epochs=2.0)
    assert budget.num_steps(batch_tokens=100, tokens_per_epoch=2000) == 40
    assert budget.num_steps(batch_tokens=1000, tokens_per_epoch=10**6) == 10


def test_a_budget_of_seconds_has_no_number_of_steps() -> None:
    assert Budget(seconds=5.0).num_steps(batch_tokens=100, tokens_per_epoch=2000) is None


@pytest.mark.parametrize(
    ("number", "limit", "expected"), [(12, 5, 4), (12, 12, 12), (12, 100, 12), (7, 6, 1), (9, 0, 1)]
)
def test_the_largest_divisor_within_a_limit(number: int, limit: int, expected: int) -> None:
    assert largest_divisor(number, limit=limit) == expected


def test_muon_goes_slower_on_small_batches_and_no_faster_on_large_ones() -> None:
    shape = PRESETS["encoder"]["tiny"].shape(vocab_size=4096)
    usual = default_batch_tokens(shape)
    rate = default_learning_rate(shape, "muon")
    assert default_learning_rate(shape, "muon", batch_tokens=8 * usual) == rate
    smaller = default_learning_rate(shape, "muon", batch_tokens=usual // 16)
    assert smaller == pytest.approx(rate / 2, rel=0.01)
    assert default_learning_rate(shape, "adamw", batch_tokens=usual // 16) < smaller
