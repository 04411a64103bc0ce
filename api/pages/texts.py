"""What the text of a corpus is like."""

from __future__ import annotations

from api.pages.blocks import bars, section
from api.pages.charts import histogram
from api.pages.html import NOTHING, Html
from api.pages.numbers import counted
from corpora.report import CorpusReport


def lengths(report: CorpusReport) -> Html:
    """Draw how long documents are."""
    if not report.lengths:
        return NOTHING
    known = {length.from_bytes: length for length in report.lengths}
    first, last = min(known), max(known)
    bins: list[tuple[str, int]] = []
    start = first
    while start <= last:
        bins.append((_power_of_two(start), known[start].count if start in known else 0))
        start = max(1, 2 * start)
    return section(
        "How long documents are",
        "Documents by their bytes: each column goes from its number to twice that.",
        histogram(bins, title="Documents by length"),
    )


def _power_of_two(num_bytes: int) -> str:
    for unit, amount in (("Gi", 2**30), ("Mi", 2**20), ("Ki", 2**10)):
        if num_bytes >= amount:
            return f"{num_bytes // amount} {unit}"
    return str(num_bytes)


def languages(report: CorpusReport) -> Html:
    """Documents by language."""
    if not report.languages:
        return NOTHING
    return section(
        "Languages",
        "Documents by their language; und is where it is not clear.",
        bars("Language", report.languages, unit="Documents"),
    )


def characters(report: CorpusReport) -> Html:
    """Characters by script."""
    found = report.characters
    if not found.scripts:
        return NOTHING
    return section(
        "Scripts",
        f"{counted(found.num_characters, 'character')}; Common is digits, spaces and signs.",
        bars("Script", found.scripts, unit="Characters"),
    )
