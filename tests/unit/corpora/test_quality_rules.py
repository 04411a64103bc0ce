from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import pytest

from core.quality_filters import QualityFilters
from corpora.quality import Passed, Quality
from corpora.quality_rules import RULES
from corpora.text_view import TextView


def fate_of(name: str, text: str, *, language: str = "en", **thresholds: Any) -> str:
    quality = Quality(QualityFilters.model_validate({name: thresholds}))
    result = quality.judge(text, language=language)
    assert result in (name, Passed(text, {}))
    return "dropped" if result == name else "kept"


def different_words() -> Iterator[str]:
    """Words of two letters, none of them twice."""
    return map("".join, product("abcdefghijklmnopqrstuvwxyz", repeat=2))


def words(count: int) -> str:
    return " ".join(islice(different_words(), count))


def lines(count: int, *, ending: str) -> list[str]:
    return [f"{word} begins this line{ending}" for word in islice(different_words(), count)]


@pytest.mark.parametrize(("count", "fate"), [(49, "dropped"), (50, "kept"), (51, "kept")])
def test_too_few_words(count: int, fate: str) -> None:
    assert fate_of("gopher_word_count", "word " * count) == fate


@pytest.mark.parametrize(
    ("count", "fate"), [(99_999, "kept"), (100_000, "kept"), (100_001, "dropped")]
)
def test_too_many_words(count: int, fate: str) -> None:
    assert fate_of("gopher_word_count", "word " * count) == fate


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("an old ox is it", "dropped"),
        ("the cat and her kit", "kept"),
        ("abc de", "dropped"),
        ("mississippi and on", "kept"),
        ("laboratory laboratory", "kept"),
        ("laboratory laboratories", "dropped"),
    ],
)
def test_words_too_short_or_too_long_on_average(text: str, fate: str) -> None:
    assert fate_of("gopher_mean_word_length", text) == fate


@pytest.mark.parametrize(
    ("signs", "fate"),
    [
        ("", "kept"),
        ("#", "kept"),
        ("##", "dropped"),
        ("...", "kept"),
        ("... …", "dropped"),
        ("# ...", "kept"),
    ],
)
def test_too_many_hash_signs_or_ellipses_for_each_word(signs: str, fate: str) -> None:
    text = " ".join(["word"] * 10)
    for sign in signs.split():
        text = text.replace("word", f"word{sign}", 1).replace("word", "said", 1)
    assert fate_of("gopher_symbols", text) == fate


@pytest.mark.parametrize("bullet", ["•", "-", "*", "●"])
@pytest.mark.parametrize(("num_bullets", "fate"), [(8, "kept"), (9, "kept"), (10, "dropped")])
def test_too_many_lines_that_begin_with_a_bullet(
    bullet: str,
    num_bullets: int,
    fate: str,
) -> None:
    text = "\n\n".join(
        f"  {bullet} item {number}" if number < num_bullets else "no item" for number in range(10)
    )
    assert fate_of("gopher_bullet_lines", text) == fate


@pytest.mark.parametrize("ellipsis", ["...", "…"])
@pytest.mark.parametrize(("num_open", "fate"), [(2, "kept"), (3, "kept"), (4, "dropped")])
def test_too_many_lines_that_end_with_an_ellipsis(
    ellipsis: str,
    num_open: int,
    fate: str,
) -> None:
    text = "\n".join(
        f"read more{ellipsis} " if number < num_open else "read on." for number in range(10)
    )
    assert fate_of("gopher_ellipsis_lines", text) == fate


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("one two three four 5", "kept"),
        ("one two three 4 5", "dropped"),
        ("один два три четыре 5", "kept"),
        ("один два три 4 5", "dropped"),
        ("a1 (b) ç! «d» ---", "kept"),
        ("a1 (b) «d» 4% ---", "dropped"),
    ],
)
def test_too_few_words_with_a_letter(text: str, fate: str) -> None:
    assert fate_of("gopher_alphabetic_words", text) == fate


@pytest.mark.parametrize(
    ("text", "language", "fate"),
    [
        ("cheap shoes buy now", "en", "dropped"),
        ("the cheap shoes the best", "en", "dropped"),
        ("The shoes of yesterday", "en", "kept"),
        ("Schuhe billig und gut", "de", "kept"),
        ("qwx zzv brr", "und", "dropped"),
    ],
)
def test_too_few_different_stop_words_in_english(text: str, language: str, fate: str) -> None:
    assert fate_of("gopher_stop_words", text, language=language) == fate


@pytest.mark.parametrize(("num_repeated", "fate"), [(2, "kept"), (3, "kept"), (4, "dropped")])
def test_too_many_lines_that_stood_there_before(num_repeated: int, fate: str) -> None:
    text = "\n".join(
        [*lines(10 - num_repeated, ending="."), *["aa begins this line."] * num_repeated]
    )
    assert fate_of("gopher_duplicate_lines", text) == fate


@pytest.mark.parametrize(("num_lines", "fate"), [(6, "kept"), (5, "kept"), (4, "dropped")])
def test_too_many_characters_in_lines_that_stood_there_before(
    num_lines: int,
    fate: str,
) -> None:
    different = lines(num_lines - 1, ending=".")
    text = "\n".join([*different, different[0]])
    assert fate_of("gopher_duplicate_line_characters", text) == fate


@pytest.mark.parametrize(("num_repeated", "fate"), [(2, "kept"), (3, "kept"), (4, "dropped")])
def test_too_many_paragraphs_that_stood_there_before(num_repeated: int, fate: str) -> None:
    parts = [f"{line}\nIts second line." for line in lines(10 - num_repeated, ending=".")]
    text = "\n \n\n".join([*parts, *parts[:1] * num_repeated])
    assert fate_of("gopher_duplicate_paragraphs", text) == fate


@pytest.mark.parametrize(("num_paragraphs", "fate"), [(6, "kept"), (5, "kept"), (4, "dropped")])
def test_too_many_characters_in_paragraphs_that_stood_there_before(
    num_paragraphs: int,
    fate: str,
) -> None:
    parts = [f"{line}\nIts second line." for line in lines(num_paragraphs - 1, ending=".")]
    text = "\n\n".join([*parts, parts[0]])
    assert fate_of("gopher_duplicate_paragraph_characters", text) == fate


@pytest.mark.parametrize(
    ("n", "num_words", "fate"),
    [
        # the run occurs twice: it has 2n words of num_words
        (2, 21, "kept"),
        (2, 20, "kept"),
        (2, 19, "dropped"),
        (3, 34, "kept"),
        (3, 33, "dropped"),
        (4, 51, "kept"),
        (4, 50, "kept"),
        (4, 49, "dropped"),
    ],
)
def test_the_most_frequent_run_of_words_is_too_much_of_the_text(
    n: int,
    num_words: int,
    fate: str,
) -> None:
    run = ["zz", "yy", "xx", "ww"][:n]
    text = " ".join([*run, words(num_words - 2 * n), *run])
    assert fate_of(f"gopher_top_{n}_grams", text) == fate


@pytest.mark.parametrize(
    ("n", "num_words"), [(5, 34), (6, 43), (7, 54), (8, 67), (9, 82), (10, 100)]
)
def test_runs_of_words_that_stood_there_before_are_too_much_of_the_text(
    n: int, num_words: int
) -> None:
    # n of num_words words stood there before: just not more than the threshold's share
    name = f"gopher_duplicate_{n}_grams"
    run = ["zz", "yy", "xx", "ww", "vv", "uu", "tt", "ss", "rr", "qq"][:n]
    assert fate_of(name, " ".join([*run, words(num_words - 2 * n), *run])) == "kept"
    assert fate_of(name, " ".join([*run, words(num_words - 1 - 2 * n), *run])) == "dropped"
    # one word less in the run, and nothing of that length stood there before
    assert fate_of(name, " ".join([*run, words(num_words - 2 * n), *run[1:]])) == "kept"


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("Lorem Ipsum dolor sit amet.", "dropped"),
        ("The lorem, an ipsum.", "kept"),
    ],
)
def test_blind_text(text: str, fate: str) -> None:
    assert fate_of("c4_lorem_ipsum", text) == fate


@pytest.mark.parametrize(
    ("text", "fate"), [("if (a) { b(); }", "dropped"), ("A set (of words).", "kept")]
)
def test_curly_braces(text: str, fate: str) -> None:
    assert fate_of("c4_curly_brace", text) == fate


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("One. Two! Three? Four.", "dropped"),
        ("One. Two! Three? Four. Five.", "kept"),
        ("One. Two! Three? Four. And no end", "kept"),
        ("One.\nTwo.\nThree.\nFour.", "dropped"),
        ("One\nTwo\nThree\nFour\nFive", "kept"),
        ("Mr. smith paid 3.50 for e.g. tea. Thanks.", "dropped"),
        ("一。二。三。四。", "dropped"),
        ("一。二。三。四。五。", "kept"),
    ],
)
def test_too_few_sentences(text: str, fate: str) -> None:
    assert fate_of("c4_sentences", text) == fate


@pytest.mark.parametrize("ending", [".", "!", "?", '"', "'", "”", "。"])
@pytest.mark.parametrize(("num_ended", "fate"), [(2, "dropped"), (3, "dropped"), (4, "kept")])
def test_too_few_lines_that_end_in_punctuation(
    ending: str,
    num_ended: int,
    fate: str,
) -> None:
    text = "\n".join([*lines(num_ended, ending=ending), *lines(25 - num_ended, ending=",")])
    assert fate_of("fineweb_line_punctuation", text) == fate


@pytest.mark.parametrize(("num_short", "fate"), [(66, "kept"), (67, "dropped"), (68, "dropped")])
def test_too_many_short_lines(num_short: int, fate: str) -> None:
    text = "\n\n".join(["a" * 30] * num_short + ["a" * 31] * (100 - num_short))
    assert fate_of("fineweb_short_lines", text) == fate


@pytest.mark.parametrize(("num_lines", "fate"), [(99, "dropped"), (100, "dropped"), (101, "kept")])
def test_nearly_any_characters_in_lines_that_stood_there_before(
    num_lines: int,
    fate: str,
) -> None:
    different = lines(num_lines - 1, ending=".")
    text = "\n".join([*different, different[0]])
    assert fate_of("fineweb_duplicate_line_characters", text) == fate


@pytest.mark.parametrize(("num_breaks", "fate"), [(2, "kept"), (3, "kept"), (4, "dropped")])
def test_too_many_line_breaks_for_each_word(num_breaks: int, fate: str) -> None:
    text = words(10).replace(" ", "\n\n", num_breaks)
    assert fate_of("fineweb_newlines", text) == fate


@pytest.mark.parametrize(("length", "fate"), [(999, "kept"), (1000, "kept"), (1001, "dropped")])
def test_a_line_of_code_that_is_too_long(length: int, fate: str) -> None:
    assert fate_of("stack_line_length", f"x = 1\n{'y' * length}\nz = 2\n") == fate


@pytest.mark.parametrize(("length", "fate"), [(149, "kept"), (150, "kept"), (151, "dropped")])
def test_lines_of_code_that_are_too_long_on_average(length: int, fate: str) -> None:
    assert fate_of("stack_mean_line_length", f"{'x' * 50}\n{'y' * length}\n") == fate


@pytest.mark.parametrize(
    ("text", "fate"),
    [
        ("a+++", "kept"),
        ("ab++", "kept"),
        ("a++++", "dropped"),
        ("é+++", "kept"),
        ("é++++", "dropped"),
    ],
)
def test_code_with_too_few_letters_and_digits(text: str, fate: str) -> None:
    assert fate_of("stack_alphanumeric", text) == fate


@pytest.mark.parametrize(
    ("line", "mark", "fate"),
    [
        (1, "# This file is AUTO-GENERATED, do not edit", "dropped"),
        (5, "// Code automatically generated by protoc", "dropped"),
        (6, "// Code automatically generated by protoc", "kept"),
        (1, "# generates reports", "kept"),
    ],
)
def test_code_that_says_in_its_first_lines_that_a_program_wrote_it(
    line: int,
    mark: str,
    fate: str,
) -> None:
    assert fate_of("stack_generated", "\n" * (line - 1) + f"{mark}\nx = 1\n") == fate


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gopher_word_count", "我们去公园。"),
        ("gopher_mean_word_length", "我们昨天下午一起去公园看花。"),
        ("gopher_symbols", "我们去公园看花…"),
        ("fineweb_newlines", "我们去公园。\n他们也去。"),
    ],
)
def test_rules_about_words_say_nothing_of_languages_without_spaces(name: str, text: str) -> None:
    assert fate_of(name, text, language="zh") == "kept"
    assert fate_of(name, text, language="en") == "dropped"


def test_thresholds_can_be_changed() -> None:
    assert fate_of("gopher_word_count", "one two three", min_words=4) == "dropped"
    assert fate_of("gopher_word_count", "one two three", min_words=3) == "kept"
    assert fate_of("c4_sentences", "No end", min_sentences=1) == "kept"
    assert fate_of("stack_generated", "\n\n# autogenerated", max_lines=3) == "dropped"
    assert fate_of("stack_generated", "\n\n# autogenerated", max_lines=2) == "kept"


def test_the_first_rule_that_a_text_fails_is_its_reason() -> None:
    quality = Quality(
        QualityFilters.model_validate({"c4_curly_brace": {}, "gopher_word_count": {}})
    )
    assert quality.judge("{ }", language="en") == "gopher_word_count"
    assert quality.judge("{ " + "word " * 50, language="en") == "c4_curly_brace"


@pytest.mark.parametrize(
    "unit", ["a", "a ", "a\n", "\n", "\n \n", ".", ". ", '."', "...a ", "é.", "{"]
)
def test_a_long_run_of_anything_takes_no_longer_than_its_length(unit: str) -> None:
    # were a rule quadratic, the test's own limit of time would end it
    view = TextView(f"s{unit * (300_000 // len(unit))}z")
    for name, limits in QualityFilters.model_validate({name: {} for name in RULES}):
        if limits:
            RULES[name](view, limits)
