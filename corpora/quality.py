"""The quality rules that a corpus asks, put to one text after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from core.filters.base import QualityFilter
from core.languages import UNDETERMINED, WITHOUT_SPACES
from core.quality_filters import QualityFilters
from corpora.boilerplate import LINE_RULES, IsBoilerplate, without_boilerplate
from corpora.quality_rules import RULES
from corpora.text_view import TextView

_ENGLISH: Final = frozenset({"en", UNDETERMINED})


@dataclass(frozen=True, slots=True)
class Passed:
    """A text that fails no rule, without the lines that rules took out."""

    text: str
    removed_lines: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rule with its thresholds."""

    name: str
    limits: QualityFilter

    def concerns(self, language: str) -> bool:
        """Whether it says anything of texts in this language."""
        if self.limits.languages == "english":
            return language in _ENGLISH
        return self.limits.languages == "all" or language not in WITHOUT_SPACES


class Quality:
    """The rules of one corpus, in their order: on documents, then on lines, then on what is left.

    The order is that of :class:`core.quality_filters.QualityFilters`.
    """

    def __init__(self, filters: QualityFilters) -> None:
        """Choose the rules that ``filters`` asks."""
        asked = [_Asked(name, limits) for name, limits in filters if limits]
        on_lines = [place for place, rule in enumerate(asked) if rule.name in LINE_RULES]
        first_on_lines = min(on_lines, default=len(asked))
        self._before = [rule for rule in asked[:first_on_lines] if rule.name in RULES]
        self._on_lines = [rule for rule in asked if rule.name in LINE_RULES]
        self._after = [rule for rule in asked[first_on_lines:] if rule.name in RULES]

    def judge(self, text: str, *, language: str) -> Passed | str:
        """What becomes of a text that is not blank: what is left, or the rule that it fails."""
        if not (self._before or self._on_lines or self._after):
            return Passed(text, {})
        view = TextView(text)
        if failed := _first_failed(self._before, view, language):
            return failed
        text, removed_lines = without_boilerplate(view, dict(self._line_rules(view, language)))
        if removed_lines:
            if not text or text.isspace():
                return "empty"
            view = TextView(text)
        return _first_failed(self._after, view, language) or Passed(text, removed_lines)

    def _line_rules(self, view: TextView, language: str) -> Iterator[tuple[str, IsBoilerplate]]:
        for rule in self._on_lines:
            if rule.concerns(language):
                is_boilerplate = LINE_RULES[rule.name](view, rule.limits)
                if is_boilerplate is not None:
                    yield rule.name, is_boilerplate


def _first_failed(rules: list[_Asked], view: TextView, language: str) -> str | None:
    for rule in rules:
        if rule.concerns(language) and RULES[rule.name](view, rule.limits):
            return rule.name
    return None
