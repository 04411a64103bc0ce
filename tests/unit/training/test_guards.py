from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from core.errors import Diverged
from training.guards import MAX_ROLLBACKS, Guard

NAN, INFINITY = math.nan, math.inf


def after(guard: Guard, losses: list[float], *, norm: float = 1.0) -> Guard:
    for loss in losses:
        ordinary = guard.is_ordinary(loss=loss, gradient_norm=norm)
        guard = guard.after(loss=loss, gradient_norm=norm, skipped=not ordinary)
    return guard


def around(level: float, count: int) -> list[float]:
    """Losses as noisy as real ones."""
    noise = np.random.default_rng(0).normal(0, 0.1, count)
    return [level + float(off) for off in noise]


@pytest.mark.parametrize(
    ("loss", "norm"), [(NAN, 1.0), (1.0, NAN), (INFINITY, 1.0), (1.0, INFINITY)]
)
def test_what_is_no_number_never_changes_the_weights(loss: float, norm: float) -> None:
    assert not Guard().is_ordinary(loss=loss, gradient_norm=norm)


def test_a_step_far_out_of_the_ordinary_is_skipped_and_one_like_the_others_is_not() -> None:
    guard = after(Guard(), around(3.0, 128))
    assert guard.num_skipped == 0
    assert guard.is_ordinary(loss=3.3, gradient_norm=1.0)
    assert not guard.is_ordinary(loss=4.0, gradient_norm=1.0)
    assert not guard.is_ordinary(loss=3.0, gradient_norm=50.0)


def test_a_low_loss_is_never_out_of_the_ordinary() -> None:
    assert after(Guard(), around(3.0, 128)).is_ordinary(loss=0.1, gradient_norm=0.1)


def test_nothing_is_out_of_the_ordinary_before_there_is_an_order() -> None:
    assert after(Guard(), around(3.0, 40)).is_ordinary(loss=30.0, gradient_norm=30.0)


def test_what_keeps_coming_is_skipped_a_few_times_and_then_accepted() -> None:
    guard = after(Guard(), around(3.0, 128))
    guard = after(guard, around(4.2, 20))
    assert 2 <= guard.num_skipped <= 8


def test_numbers_that_do_not_return_mean_that_the_way_is_lost() -> None:
    guard = after(Guard(), [*around(3.0, 10), *[NAN] * 7])
    assert guard.is_worried
    assert not guard.has_lost_its_way
    assert not after(guard, [3.0]).is_worried
    assert after(guard, [NAN]).has_lost_its_way


def test_one_enormous_loss_is_not_a_lost_way() -> None:
    guard = after(Guard(), [*around(3.0, 128), 1e6])
    assert guard.is_worried
    assert not after(guard, around(3.0, 1)).is_worried
    assert not guard.has_lost_its_way


def test_a_loss_that_stays_far_above_its_best_is_a_lost_way() -> None:
    learned = after(Guard(), around(3.0, 128))
    assert not after(learned, around(5.0, 20)).has_lost_its_way
    assert after(learned, around(5.0, 64)).has_lost_its_way
    assert not after(learned, around(4.0, 128)).has_lost_its_way


def test_a_loss_that_never_came_down_is_held_against_its_first_value() -> None:
    assert after(Guard(), [6.2, *around(40.0, 64)]).has_lost_its_way
    assert not after(Guard(), around(6.2, 200)).has_lost_its_way


def test_close_to_zero_half_as_much_again_is_nothing() -> None:
    assert not after(Guard(), [*[0.05] * 128, *[0.2] * 64]).has_lost_its_way


def test_another_objective_is_not_judged_by_the_losses_of_the_last_one() -> None:
    guard = after(Guard(), around(1.0, 128)).at_another_objective()
    assert guard.is_ordinary(loss=5.0, gradient_norm=9.0)
    assert not after(guard, around(5.0, 128)).has_lost_its_way


def test_a_model_whose_last_loss_is_no_number_is_no_result() -> None:
    lost = after(Guard(), [3.0, NAN])
    for guard, measured in ((lost, {}), (Guard(), {"validation/loss": NAN})):
        assert guard.after_looking(measured).is_worried
        with pytest.raises(Diverged, match="not finite"):
            guard.require_a_result(measured)
    lost.require_a_result({"validation/loss": 3.0})
    after(lost, [3.0]).require_a_result({})


def test_one_spike_does_not_hide_the_next() -> None:
    ordinary = after(Guard(), around(3.0, 128))
    for struck in (
        after(ordinary, [500.0]),
        after(ordinary, [3.0], norm=1e4),
    ):
        assert struck.num_skipped == 1
        assert not struck.is_ordinary(loss=40.0, gradient_norm=1.0)
        assert not struck.is_ordinary(loss=3.0, gradient_norm=50.0)


def test_numbers_that_are_all_the_same_leave_room_for_rounding() -> None:
    guard = after(Guard(), [2.0] * 128)
    assert guard.is_ordinary(loss=2.0 + 1e-9, gradient_norm=1.0 + 1e-9)


def test_going_back_halves_the_rate_and_is_not_done_for_ever() -> None:
    guard = after(Guard(), [*around(3.0, 10), *[NAN] * 8])
    for _ in range(MAX_ROLLBACKS):
        assert guard.has_lost_its_way
        back = guard.rolled_back(best_loss=3.0)
        assert back.num_skipped == guard.num_skipped
        assert not back.has_lost_its_way
        recovered = after(back, around(3.0, 64))
        assert not recovered.has_lost_its_way
        guard = after(recovered, around(9.0, 64))
    assert guard.rate_factor == 0.5**MAX_ROLLBACKS
    with pytest.raises(Diverged, match="learning_rate"):
        guard.rolled_back(best_loss=3.0)


@pytest.mark.parametrize("best_then", [None, 7.2])
def test_weights_that_went_far_back_are_not_held_against_what_was_reached_since(
    best_then: float | None,
) -> None:
    guard = after(Guard(), [*around(8.0, 20), *around(3.0, 128), *around(9.0, 64)])
    assert guard.has_lost_its_way
    back = guard.rolled_back(best_loss=best_then)
    again = after(back, [7.0, *around(6.8, 128)])
    assert not again.is_worried
    assert not again.has_lost_its_way


def test_a_guard_that_was_saved_judges_as_the_one_that_was_not() -> None:
    before = after(Guard(), [*around(3.0, 100), NAN, 9.0])
    saved = Guard.from_json(json.loads(json.dumps(asdict(before))))
    for losses in (around(3.0, 70), [NAN] * 8, around(5.0, 70)):
        kept, restored = after(before, losses), after(saved, losses)
        assert asdict(kept) == asdict(restored)
        assert kept.has_lost_its_way == restored.has_lost_its_way
