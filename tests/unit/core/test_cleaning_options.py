from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from core.cleaning_options import CleaningOptions
from core.corpus_options import CorpusOptions
from core.quality_filters import QualityFilters, list_filters


def filters_of(**given: Any) -> dict[str, Any]:
    filters: dict[str, Any] = CleaningOptions(**given).model_dump()["filters"]
    return filters


def test_the_name_of_a_profile_means_the_profile() -> None:
    for profile in ("none", "light", "web", "code"):
        by_name = CorpusOptions.model_validate({"clean": profile})
        assert by_name == CorpusOptions.model_validate({"clean": {"profile": profile}})


@pytest.mark.parametrize(
    ("profile", "sources"),
    [
        ("none", set()),
        ("light", set()),
        ("web", {"gopher", "c4", "fineweb"}),
        ("code", {"stack"}),
    ],
)
def test_a_profile_asks_the_rules_of_its_sources(profile: str, sources: set[str]) -> None:
    assert {name.partition("_")[0] for name in filters_of(profile=profile)} == sources


def test_the_web_profile_asks_every_rule_for_prose_but_the_one_that_fineweb_left_out() -> None:
    known = {rule.name for rule in list_filters()}
    unasked = known - filters_of(profile="web").keys()
    assert {name for name in unasked if not name.startswith("stack_")} == {
        "language",
        "contaminated",
        "c4_line_punctuation",
    }


def test_a_dump_is_complete_and_makes_the_same_options_again() -> None:
    options = CorpusOptions.model_validate(
        {
            "clean": {
                "profile": "web",
                "languages": ["nl", "en", "nl"],
                "filters": {"gopher_word_count": {"min_words": 9}, "c4_curly_brace": False},
                "remove": ["ip", "email"],
                "decontaminate": "file_1",
            }
        }
    )
    dumped = options.model_dump(mode="json")
    assert dumped["clean"]["languages"] == ["en", "nl"]
    assert dumped["clean"]["remove"] == ["email", "ip"]
    assert dumped["clean"]["filters"]["gopher_word_count"] == {
        "min_words": 9,
        "max_words": 100_000,
    }
    assert dumped["clean"]["filters"]["c4_curly_brace"] is False
    assert dumped["clean"]["filters"]["language"] == {"min_confidence": 0.65}
    assert dumped["clean"]["filters"]["contaminated"]["ngram_words"] == 13
    assert CorpusOptions.model_validate(dumped) == options
    assert CorpusOptions.model_validate_json(options.model_dump_json()) == options
    assert CorpusOptions.model_validate(dumped).model_dump(mode="json") == dumped


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"profile": "light", "filters": {"gopher_symbols": False}}),
        (
            {"profile": "web"},
            {"profile": "web", "filters": {"gopher_symbols": {"max_per_word": 0.1}}},
        ),
        ({"remove": ["ip", "email"]}, {"remove": ["email", "ip"]}),
        ({"languages": ["de", "en"]}, {"languages": ["en", "de", "de"]}),
    ],
)
def test_what_means_the_same_is_dumped_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (
        CleaningOptions.model_validate(one).model_dump_json()
        == CleaningOptions.model_validate(other).model_dump_json()
    )


def test_an_empty_object_asks_a_rule_that_the_profile_does_not() -> None:
    assert filters_of(profile="light", filters={"c4_sentences": {}}) == {
        "c4_sentences": {"min_sentences": 5}
    }


@pytest.mark.parametrize(
    ("given", "path", "kind"),
    [
        ({"profile": "spotless"}, ("profile",), "literal_error"),
        ({"filters": {"gopher_wrd_count": False}}, ("filters", "gopher_wrd_count"), "extra_"),
        ({"filters": {"gopher_symbols": 7}}, ("filters", "gopher_symbols"), "model_type"),
        (
            {"filters": {"gopher_symbols": {"max": 1}}},
            ("filters", "gopher_symbols", "max"),
            "extra_",
        ),
        (
            {"filters": {"gopher_bullet_lines": {"max_share": 1.5}}},
            ("filters", "gopher_bullet_lines", "max_share"),
            "less_than_equal",
        ),
        (
            {"filters": {"gopher_word_count": {"min_words": 9, "max_words": 3}}},
            ("filters", "gopher_word_count"),
            "value_error",
        ),
        (
            {"filters": {"gopher_mean_word_length": {"min_characters": 11}}},
            ("filters", "gopher_mean_word_length"),
            "value_error",
        ),
        ({"filters": ["gopher_symbols"]}, ("filters",), "model_type"),
        ({"languages": ["eng"]}, ("languages", 0), "unknown_language"),
        ({"languages": []}, ("languages",), "too_short"),
        ({"remove": ["phone"]}, ("remove", 0), "literal_error"),
        ({"decontaminate": ""}, ("decontaminate",), "string_too_short"),
        ({"filters": {"language": {}}}, (), "value_error"),
        ({"filters": {"contaminated": {}}}, (), "value_error"),
        ({"languages": ["en"], "filters": {"language": False}}, (), "value_error"),
        ({"decontaminate": "file_1", "filters": {"contaminated": False}}, (), "value_error"),
    ],
)
def test_what_is_not_possible_is_refused_where_it_stands(
    given: dict[str, Any], path: tuple[str | int, ...], kind: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        CleaningOptions.model_validate(given)
    [error] = caught.value.errors()
    assert tuple(part for part in error["loc"] if part != "on") == path
    assert error["type"].startswith(kind)


def test_the_schema_says_that_a_name_will_do_and_which_rules_there_are() -> None:
    schema = CorpusOptions.model_json_schema()
    kinds = schema["properties"]["clean"]["anyOf"]
    assert {"enum": ["none", "light", "web", "code"], "type": "string"} in kinds
    rules = schema["$defs"]["QualityFilters"]["properties"]
    assert list(rules) == list(QualityFilters.model_fields)
    # what is asked without being named is the profile's to say
    assert all("default" not in rule for rule in rules.values())
