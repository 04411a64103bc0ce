from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest

from core.lifecycle import StopReason
from core.objectives import CausalObjective, MaskedObjective, Stage, StagedObjective
from core.spec import Budget, EarlyStoppingSpec, EvaluationSpec, ModelShape, OptimizerSpec
from tests.unit.training.conftest import NUM_STEPS, Recorder, StopAfter, make_spec, run, weights
from training.early_stopping import Patience

DECODER, ENCODER = make_spec("decoder").model, make_spec("encoder").model


def after(
    values: list[float], *, min_delta: float = 0.0, shape: ModelShape = DECODER, name: str
) -> Patience:
    patience = Patience()
    for value in values:
        patience = patience.after(
            {name: value},
            shape=shape,
            spec=EarlyStoppingSpec(patience=2, min_delta=min_delta),
        )
    return patience


def fruitless(values: list[float], *, min_delta: float = 0.0) -> int:
    return after(values, min_delta=min_delta, name="validation/bits_per_byte").num_fruitless


def test_each_gain_renews_the_patience() -> None:
    assert fruitless([3.0, 2.0, 2.5, 1.9]) == 0
    assert fruitless([3.0, 2.0, 2.5, 2.1]) == 2


def test_a_gain_below_the_least_that_counts_is_none() -> None:
    assert fruitless([3.0, 2.95, 2.92], min_delta=0.1) == 2
    assert fruitless([3.0, 2.95, 2.89], min_delta=0.1) == 0


def test_an_encoder_gains_when_it_is_right_more_often() -> None:
    name = "validation/masked_accuracy_top1"
    assert after([0.1, 0.2, 0.3], shape=ENCODER, name=name).num_fruitless == 0
    assert after([0.3, 0.2, 0.1], shape=ENCODER, name=name).num_fruitless == 2


def test_what_is_no_number_is_no_gain_and_what_is_not_measured_says_nothing() -> None:
    assert fruitless([3.0, math.nan, math.inf]) == 2
    assert after([1.0, 1.0], name="validation/other") == Patience()


def test_patience_that_was_saved_is_as_long_as_before() -> None:
    patience = after([3.0, 4.0], name="validation/bits_per_byte")
    assert Patience.from_json(json.loads(json.dumps(asdict(patience)))) == patience


def test_without_a_wish_to_stop_early_nobody_does() -> None:
    assert not Patience(best=1.0, num_fruitless=10**6).is_exhausted(None)


@pytest.mark.usefixtures("one_core")
def test_a_job_that_learns_no_more_ends_with_all_that_a_spent_budget_leaves(
    dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec(
        "decoder",
        budget=Budget(steps=1000),
        optimizer=OptimizerSpec(learning_rate=1e-12),
        evaluation=EvaluationSpec(
            every_steps=2,
            max_tokens=512,
            early_stopping=EarlyStoppingSpec(patience=2, min_delta=0.01),
        ),
    )
    undisturbed, first, second = Recorder(), Recorder(), Recorder()
    assert run(spec, dataset, tmp_path / "a", reporter=undisturbed) is StopReason.EARLY_STOPPING
    last = undisturbed.saved[-1]
    assert last.step == 4
    assert (4, "validation/bits_per_byte") in undisturbed.values
    assert last.metrics["validation/loss"] == undisturbed.values[4, "validation/loss"]

    run(spec, dataset, tmp_path / "b", stop=StopAfter(3), reporter=first)
    resume = first.saved[-1].path
    reason = run(spec, dataset, tmp_path / "b", resume=resume, fence=2, reporter=second)
    assert reason is StopReason.EARLY_STOPPING
    assert weights(second.saved[-1].path) == weights(last.path)
    assert first.deterministic() | second.deterministic() == undisturbed.deterministic()


def test_a_job_is_not_stopped_early_before_its_last_stage(dataset: Path, tmp_path: Path) -> None:
    impatient = EvaluationSpec(
        every_steps=1,
        max_tokens=512,
        early_stopping=EarlyStoppingSpec(patience=1, min_delta=1.0),  # which nothing ever gains
    )
    staged = StagedObjective(
        stages=(Stage(until=0.5, objective=CausalObjective()), Stage(objective=MaskedObjective()))
    )
    for objective, stops_at in ((MaskedObjective(), 1), (staged, NUM_STEPS // 2 + 1)):
        heard = Recorder()
        spec = make_spec("encoder", objective=objective, evaluation=impatient)
        out = tmp_path / objective.type
        assert run(spec, dataset, out, reporter=heard) is StopReason.EARLY_STOPPING
        assert heard.saved[-1].step == stops_at
