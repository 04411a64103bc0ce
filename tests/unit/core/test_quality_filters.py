from __future__ import annotations

from pathlib import Path

from core.quality_filters import list_filters
from corpora.boilerplate import LINE_RULES
from corpora.quality_rules import RULES

DOCS = Path(__file__).parents[3] / "docs"
PUBLISHED = {
    # arXiv 2112.11446, A.1.1, in the order of the text, and table A1
    "gopher_word_count": {"min_words": 50, "max_words": 100_000},
    "gopher_mean_word_length": {"min_characters": 3, "max_characters": 10},
    "gopher_symbols": {"max_per_word": 0.1},
    "gopher_bullet_lines": {"max_share": 0.9},
    "gopher_ellipsis_lines": {"max_share": 0.3},
    "gopher_alphabetic_words": {"min_share": 0.8},
    "gopher_stop_words": {"min_words": 2},
    "gopher_duplicate_lines": {"max_share": 0.3},
    "gopher_duplicate_line_characters": {"max_share": 0.2},
    "gopher_duplicate_paragraphs": {"max_share": 0.3},
    "gopher_duplicate_paragraph_characters": {"max_share": 0.2},
    "gopher_top_2_grams": {"max_share": 0.2},
    "gopher_top_3_grams": {"max_share": 0.18},
    "gopher_top_4_grams": {"max_share": 0.16},
    "gopher_duplicate_5_grams": {"max_share": 0.15},
    "gopher_duplicate_6_grams": {"max_share": 0.14},
    "gopher_duplicate_7_grams": {"max_share": 0.13},
    "gopher_duplicate_8_grams": {"max_share": 0.12},
    "gopher_duplicate_9_grams": {"max_share": 0.11},
    "gopher_duplicate_10_grams": {"max_share": 0.1},
    # arXiv 1910.10683, 2.2, and its code
    "c4_lorem_ipsum": {},
    "c4_curly_brace": {},
    "c4_long_words": {"max_characters": 1000},
    "c4_line_punctuation": {},
    "c4_line_words": {"min_words": 3},
    "c4_javascript": {},
    "c4_policy": {},
    "c4_sentences": {"min_sentences": 5},
    # arXiv 2406.17557
    "fineweb_line_punctuation": {"min_share": 0.12},
    "fineweb_short_lines": {"max_share": 0.67, "max_characters": 30},
    "fineweb_duplicate_line_characters": {"max_share": 0.01},
    "fineweb_newlines": {"max_per_word": 0.3},
    # arXiv 2301.03988 and 2402.19173
    "stack_line_length": {"max_characters": 1000},
    "stack_mean_line_length": {"max_characters": 100},
    "stack_alphanumeric": {"min_share": 0.25},
    "stack_generated": {"max_lines": 5},
    # arXiv 2406.17557 and 2005.14165, C
    "language": {"min_confidence": 0.65},
    "contaminated": {"ngram_words": 13, "min_words": 8, "min_ngrams": 1},
}


def test_the_thresholds_are_the_published_ones() -> None:
    assert {rule.name: rule.thresholds for rule in list_filters()} == PUBLISHED


def test_every_rule_is_kept_by_someone() -> None:
    asked_by_the_cleaner_itself = {"language", "contaminated"}
    for rule in list_filters():
        if rule.name not in asked_by_the_cleaner_itself:
            assert (rule.name in LINE_RULES) == (rule.removes == "lines")
            assert (rule.name in RULES) == (rule.removes == "documents")


def test_every_rule_says_what_it_does_and_where_it_was_published() -> None:
    for rule in list_filters():
        assert rule.description.endswith(".")
        assert "arXiv" in rule.source or "code" in rule.source


def test_the_documentation_lists_just_these_rules_in_this_order() -> None:
    documented = [
        line
        for line in (DOCS / "cleaning.md").read_text().splitlines()
        if line.startswith(("| `gopher", "| `c4", "| `fineweb", "| `stack", "| `lang", "| `cont"))
    ]
    assert documented == [
        f"| `{rule.name}` | {rule.description} "
        f"| {', '.join(f'`{name}` {value:,}' for name, value in rule.thresholds.items())} "
        f"| {', '.join(rule.profiles)} | {rule.source} |"
        for rule in list_filters()
    ]
