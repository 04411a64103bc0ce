"""What pages are built of: sections, tables, bars, facts, quotations of records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from api.pages.charts import bar
from api.pages.html import NOTHING, Html, element, joined, visible
from api.pages.numbers import count, share
from corpora.report import Example

_BROAD: Final = 6
"""Columns from which on a table is scrolled where it does not fit."""
_MOST_BARS: Final = 20


def section(title: str, lead: str, *content: Html) -> Html:
    """A card with a title and a first sentence."""
    return element("section", element("h2", title), element("p", lead, class_="quiet"), *content)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, num_texts: int = 1) -> Html:
    """A table whose first columns are text and whose others are numbers."""

    def cells(tag: str, values: Sequence[str]) -> Html:
        return element(
            "tr",
            *(
                element(tag, value, class_="text" if index < num_texts else "number")
                for index, value in enumerate(values)
            ),
        )

    table = element(
        "table",
        element("thead", cells("th", columns)),
        element("tbody", *(cells("td", row) for row in rows)),
        class_="broad" if len(columns) >= _BROAD else None,
    )
    return element("div", table, class_="scroll")


def bars(noun: str, numbers: Mapping[str, int], *, unit: str) -> Html:
    """A table of numbers by name, the largest first, each with a bar."""
    most_first = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    shown, others = most_first[:_MOST_BARS], most_first[_MOST_BARS:]
    if others:
        shown.append((f"{len(others)} others", sum(number for _, number in others)))
    total = sum(numbers.values())
    most = max(number for _, number in shown)
    rows = [
        element(
            "tr",
            element("td", visible(name)),
            element("td", bar(number, most), class_="wide"),
            element("td", count(number), class_="number"),
            element("td", share(number, total), class_="number"),
        )
        for name, number in shown
    ]
    head = element(
        "tr",
        element("th", noun),
        element("th"),
        element("th", unit, class_="number"),
        element("th", "Share", class_="number"),
    )
    return element("table", element("thead", head), element("tbody", *rows))


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """Names and values, a pair a line."""
    return element(
        "dl",
        *(
            joined([element("dt", visible(name)), element("dd", element("code", visible(value)))])
            for name, value in pairs
        ),
        class_="facts",
    )


def record(example: Example, *, style: str | None = None, fate: str | None = None) -> Html:
    """Quote how a record begins, under the place where it is."""
    place = ", ".join(visible(part) for part in (example.file, example.place) if part)
    return element(
        "li",
        element("span", tag(fate), place, class_="place"),
        element("q", visible(example.excerpt), dir="auto"),
        class_=style,
    )


def tag(text: str | None) -> Html:
    """A small word beside something; nothing for None."""
    return element("span", text, class_="tag") if text else NOTHING
