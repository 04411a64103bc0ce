from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from core.corpus_options import CorpusOptions


def test_the_defaults_are_those_of_the_contract() -> None:
    assert CorpusOptions().model_dump() == {
        "format": "auto",
        "text_field": "text",
        "clean": {
            "profile": "light",
            "languages": None,
            "filters": {},
            "remove": (),
            "decontaminate": None,
        },
        "deduplicate": "exact",
        "validation_fraction": 0.01,
    }


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("format", "docx", "'auto', 'txt', 'md', 'jsonl'"),
        ("clean", "spotless", "'none', 'light', 'web' or 'code'"),
        ("deduplicate", "fuzzy", "'none', 'exact' or 'near'"),
        ("validation_fraction", 0.9, "less than or equal to 0.5"),
        ("validation_fraction", float("nan"), "finite"),
        ("text_field", "", "at least 1 character"),
        ("languages", ["en"], "not permitted"),
    ],
)
def test_what_is_not_possible_is_refused_and_what_is_known_is_listed(
    field: str, value: Any, said: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        CorpusOptions(**{field: value})
    [error] = caught.value.errors()
    assert error["loc"][0] == field
    assert said in error["msg"]
