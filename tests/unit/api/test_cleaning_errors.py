from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api.schemas.corpora import CorpusRequest
from core.errors import ErrorDetail
from core.findings import details_of


def refused(clean: Any) -> ErrorDetail:
    body = {"files": ["file_1"], "clean": clean}
    with pytest.raises(ValidationError) as caught:
        CorpusRequest.model_validate(body)
    errors = [{**error, "loc": ("body", *error["loc"])} for error in caught.value.errors()]
    [detail] = details_of(errors, body=body, model=CorpusRequest)
    return detail


@pytest.mark.parametrize(
    ("clean", "param", "code", "said"),
    [
        ("spotless", "clean", "invalid_value", "'none', 'light', 'web' or 'code'"),
        (
            {"filters": {"gopher_wrd_count": False}},
            "clean.filters.gopher_wrd_count",
            "unknown_field",
            "Did you mean 'gopher_word_count'?",
        ),
        (
            {"filters": {"gopher_word_count": {"min_wrds": 9}}},
            "clean.filters.gopher_word_count.min_wrds",
            "unknown_field",
            "Did you mean 'min_words'?",
        ),
        (
            {"filters": {"gopher_word_count": {"min_words": 9, "max_words": 3}}},
            "clean.filters.gopher_word_count.min_words",
            "invalid_value",
            "more than max_words 3",
        ),
        (
            {"filters": {"c4_sentences": True}},
            "clean.filters.c4_sentences",
            "wrong_type",
            "an object",
        ),
        ({"languages": ["en", "xx"]}, "clean.languages.1", "unknown_language", "'xx'"),
        ({"remove": ["phone"]}, "clean.remove.0", "invalid_value", "'email' or 'ip'"),
        ({"filters": {"language": {}}}, "clean.languages", "invalid_value", "needs it"),
        ({"evaluation": "file_1"}, "clean.evaluation", "unknown_field", "decontaminate"),
    ],
)
def test_a_wrong_wish_for_cleaning_is_answered_with_its_place_and_what_there_is(
    clean: Any, param: str, code: str, said: str
) -> None:
    detail = refused(clean)
    assert (detail.param, detail.code) == (param, code)
    assert said in detail.message
