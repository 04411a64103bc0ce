from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import ErrorDetail
from core.findings import details_of
from core.job_request import JobRequest


def findings(**fields: Any) -> list[ErrorDetail]:
    body = {"corpus": "corpus_1", **fields}
    with pytest.raises(ValidationError) as caught:
        JobRequest.model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    return details_of(errors, body=body, model=JobRequest)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": "tinny"}, "model", "unknown_preset"),
        ({"model": {"preset": "tinny"}}, "model.preset", "unknown_preset"),
        ({"model": {"heads": "3"}}, "model.heads", "wrong_type"),
        ({"objective": "maskd"}, "objective", "unknown_objective"),
        ({"objective": None}, "objective", "wrong_type"),
        ({"objective": {"type": "masked", "rate": 2}}, "objective.rate", "invalid_value"),
        ({"objective": {"type": "masked", "rat": 0.3}}, "objective.rat", "unknown_field"),
        ({"objective": {"rate": 0.3}}, "objective.type", "missing_field"),
        ({"evaluation": {"blanks": ["a ____", "no gap"]}}, "evaluation.blanks.1", "invalid_value"),
        ({"name": "a:b"}, "name", "invalid_value"),
        ({"name": " "}, "name", "invalid_value"),
        ({"budget": {"tokens": 0}}, "budget.tokens", "invalid_value"),
        ({"budget": {}}, "budget", "invalid_value"),
        ({"seed": True}, "seed", "wrong_type"),
        ({"corpus": None}, "corpus", "wrong_type"),
        ({"evaluation": {"prompts": ["ok", 3]}}, "evaluation.prompts.1", "wrong_type"),
        ({"tokenizer": {"id": "tokenizer_1", "vocab_size": 4096}}, "tokenizer.vocab_size", None),
        ({"metadata": {"k": 1}}, "metadata.k", "wrong_type"),
    ],
)
def test_a_detail_names_the_field_as_the_user_wrote_it(
    fields: dict[str, Any], param: str, code: str | None
) -> None:
    [detail] = findings(**fields)
    assert detail.param == param
    if code is not None:
        assert detail.code == code


def test_an_unknown_field_is_answered_with_the_nearest_one_of_its_own_model() -> None:
    [detail] = findings(objective={"type": "masked", "whole_word": True})
    assert "Did you mean 'whole_words'?" in detail.message
    assert "corpus" not in detail.message
    [detail] = findings(model={"widht": 64, "preset": "tiny"})
    assert "Did you mean 'width'?" in detail.message


def test_what_is_no_objective_is_answered_with_what_one_may_be() -> None:
    [detail] = findings(objective=None)
    assert "masked" in detail.message
    assert "(got null)" in detail.message
    [detail] = findings(objective=[None])
    assert detail.param == "objective.0"


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        JobRequest.model_validate({})
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    [detail] = details_of(errors, body={}, model=JobRequest)
    assert (detail.param, detail.code) == ("corpus", "missing_field")


def test_every_wrong_field_has_its_own_detail() -> None:
    details = findings(seed=-1, priority=1000, modle="tiny")
    assert {detail.param for detail in details} == {"seed", "priority", "modle"}


def test_what_was_seen_is_shown_unless_it_is_long() -> None:
    [short] = findings(seed=-1)
    [long] = findings(name="x" * 1000)
    assert "(got -1)" in short.message
    assert "xxx" not in long.message


def test_what_was_seen_is_what_the_user_wrote() -> None:
    [detail] = findings(objective=[])
    assert "(got [])" in detail.message
    [detail] = findings(tokenizer={"id": "tokenizer_1", "vocab_size": "4k"})
    assert '"4k"' in detail.message


def test_no_message_speaks_of_how_python_checks() -> None:
    details = findings(metadata={str(n): "" for n in range(17)}, evaluation={"prompts": "one"})
    assert len(details) == 2
    for detail in details:
        assert "after validation" not in detail.message
        assert "tuple" not in detail.message
        assert "Dictionary" not in detail.message
