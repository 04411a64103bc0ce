from __future__ import annotations

import json

from training.execution import Execution
from training.ports import Candidate, Continuation, Filling
from training.state import Answers, TrainingState

STATE = TrainingState(
    execution=Execution(device="cpu", precision="fp32", micro_batch=2, threads=1),
    step=7,
    tokens=700,
    elapsed_seconds=1.5,
    evaluated_step=5,
    metrics={"train/loss": 3.25},
    answers=Answers(
        continuations=[Continuation("Once", " upon")],
        fillings=[Filling("I ____.", "I sang.", [[Candidate("sang", 0.5)]])],
    ),
)


def test_a_state_comes_back_from_json_as_it_was() -> None:
    assert TrainingState.from_json(json.loads(json.dumps(STATE.to_json()))) == STATE


def test_a_state_of_before_the_guards_goes_on_with_new_ones() -> None:
    recorded = STATE.to_json()
    for name in ("guard", "patience", "began_seconds"):
        del recorded[name]
    assert TrainingState.from_json(recorded) == STATE


def test_a_state_of_when_answers_were_called_samples_still_has_them() -> None:
    recorded = STATE.to_json()
    recorded["samples"] = recorded.pop("answers")
    assert TrainingState.from_json(json.loads(json.dumps(recorded))) == STATE
