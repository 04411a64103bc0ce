from __future__ import annotations

from typing import Any

import pytest

from core.quality_filters import QualityFilters
from corpora.quality import Passed, Quality

PROSE = "The garden was quiet that day."


def without_lines(text: str, **filters: Any) -> tuple[str, dict[str, int]]:
    quality = Quality(QualityFilters.model_validate(filters))
    result = quality.judge(text, language="en")
    assert isinstance(result, Passed)
    return result.text, result.removed_lines


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("c4_line_words", "Home Contact"),
        ("c4_line_words", "  Login  "),
        ("c4_long_words", f"See the {'x' * 1001} there."),
        ("c4_javascript", "Please enable JavaScript to see this page."),
        ("c4_policy", "By staying you accept our Privacy Policy."),
        ("c4_policy", "This site uses cookies."),
        ("c4_line_punctuation", "All the news of today"),
        ("c4_line_punctuation", "Read on for more of it..."),
    ],
)
def test_a_line_that_is_no_part_of_the_text_is_taken_out_and_counted(name: str, line: str) -> None:
    text = f"{PROSE}\n{line}\n{PROSE}"
    assert without_lines(text, **{name: {}}) == (f"{PROSE}\n{PROSE}", {name: 1})


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("c4_line_words", "Home and contact"),
        ("c4_long_words", f"See the {'x' * 1000} there."),
        ("c4_javascript", "Coffee comes from Java."),
        ("c4_policy", "She uses the policy of cookies."),
        ("c4_line_punctuation", "All the news of today!"),
        ("c4_line_punctuation", "“All the news of today”"),
    ],
)
def test_a_line_that_just_passes_stays(name: str, line: str) -> None:
    text = f"{PROSE}\n  {line} \n{PROSE}\n"
    assert without_lines(text, **{name: {}}) == (text, {})


def test_each_line_is_counted_for_the_first_rule_that_takes_it() -> None:
    text = f"{PROSE}\nJavaScript cookies\n{PROSE}\nOur terms of use changed.\nMenu"
    assert without_lines(text, c4_javascript={}, c4_line_words={}, c4_policy={}) == (
        f"{PROSE}\n{PROSE}",
        {"c4_line_words": 2, "c4_policy": 1},
    )


def test_paragraphs_stay_apart_by_one_blank_line_where_lines_are_gone() -> None:
    text = f"Menu\n\n{PROSE}\n\nHome\n\nNews\n\n{PROSE}\n{PROSE}\n\n\n{PROSE}"
    assert without_lines(text, c4_line_words={}) == (
        f"{PROSE}\n\n{PROSE}\n{PROSE}\n\n\n{PROSE}",
        {"c4_line_words": 3},
    )


def test_a_text_without_such_lines_stays_as_it_is() -> None:
    text = f"\n\n  {PROSE}\n\n\n\n{PROSE}\t\n\n"
    assert without_lines(text, c4_line_words={}, c4_javascript={}, c4_policy={}) == (text, {})


def test_documents_are_judged_by_the_lines_that_are_left() -> None:
    quality = Quality(
        QualityFilters.model_validate({"c4_line_words": {}, "c4_sentences": {"min_sentences": 2}})
    )
    assert quality.judge(f"{PROSE}\nMenu\nHome", language="en") == "c4_sentences"
    assert quality.judge(f"{PROSE}\n{PROSE}\nMenu", language="en") == Passed(
        f"{PROSE}\n{PROSE}", {"c4_line_words": 1}
    )


def test_a_document_of_such_lines_alone_is_empty() -> None:
    quality = Quality(QualityFilters.model_validate({"c4_line_words": {}}))
    assert quality.judge("Menu\n\nHome", language="en") == "empty"


def test_lines_without_spaces_have_few_words_and_stay() -> None:
    quality = Quality(QualityFilters.model_validate({"c4_line_words": {}, "c4_long_words": {}}))
    assert quality.judge("我们去公园。", language="zh") == Passed("我们去公园。", {})
