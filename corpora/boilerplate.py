"""The rules of C4 on lines: which lines of a web page are no part of its text.

C4 is arXiv 1910.10683, section 2.2; the rules on long words and policies are in its code alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from core.filters import c4
from corpora.sentences import TERMINAL_PUNCTUATION
from corpora.text_view import TextView

POLICY_PHRASES: Final = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)

IsBoilerplate = Callable[[str], bool]
"""Whether a line, without the white space around it, is to be taken out."""


def long_words(view: TextView, limits: c4.C4LongWords) -> IsBoilerplate | None:
    """Lines with a longer word."""
    most = limits.max_characters
    if max(map(len, view.lines)) <= most:
        return None
    return lambda line: len(line) > most and any(len(word) > most for word in line.split())


def line_punctuation(_: TextView, __: c4.C4LinePunctuation) -> IsBoilerplate:
    """Lines that end as headings and menus do."""
    return lambda line: line[-1] not in TERMINAL_PUNCTUATION or line.endswith("...")


def line_words(_: TextView, limits: c4.C4LineWords) -> IsBoilerplate:
    """Lines with fewer words."""
    fewest = limits.min_words
    return lambda line: len(line.split(None, fewest)) < fewest


def javascript(view: TextView, _: c4.C4Javascript) -> IsBoilerplate | None:
    """Lines about Javascript."""
    if "javascript" not in view.lowered:
        return None
    return lambda line: "javascript" in line.lower()


def policy(view: TextView, _: c4.C4Policy) -> IsBoilerplate | None:
    """Lines about what the law wants to be said."""
    phrases = [phrase for phrase in POLICY_PHRASES if phrase in view.lowered]
    if not phrases:
        return None
    return lambda line: any(phrase in line.lower() for phrase in phrases)


LineRule = Callable[[TextView, Any], IsBoilerplate | None]
"""How to judge the lines of a text; None if none of them can be boilerplate."""

LINE_RULES: Final[dict[str, LineRule]] = {
    "c4_long_words": long_words,
    "c4_line_punctuation": line_punctuation,
    "c4_line_words": line_words,
    "c4_javascript": javascript,
    "c4_policy": policy,
}
"""By the names of ``core.quality_filters.QualityFilters``."""


def without_boilerplate(
    view: TextView, rules: Mapping[str, IsBoilerplate]
) -> tuple[str, dict[str, int]]:
    """A text without the lines that any of ``rules`` takes out, and how many each of them took.

    Blank lines stay, since they part paragraphs; but where lines between blank ones are gone, one
    of those is enough.
    """
    rules = {name: rule for name, rule in rules.items() if any(map(rule, view.lines))}
    if not rules:
        return view.text, {}
    kept: list[str] = []
    num_removed: Counter[str] = Counter()
    follows_gap = False
    for line in view.text.split("\n"):
        stripped = line.strip()
        if not stripped:
            if not follows_gap or (kept and kept[-1].strip()):
                kept.append(line)
        elif judge := _who_removes(stripped, rules):
            num_removed[judge] += 1
            follows_gap = True
        else:
            kept.append(line)
            follows_gap = False
    return "\n".join(kept), dict(num_removed)


def _who_removes(line: str, rules: Mapping[str, IsBoilerplate]) -> str | None:
    for name, is_boilerplate in rules.items():
        if is_boilerplate(line):
            return name
    return None
