"""Pictures of a corpus, as SVG within the page: colours and type come from its style sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from api.pages.html import Html, element
from api.pages.numbers import count, share, size

_WIDTH: Final = 960


@dataclass(frozen=True, slots=True)
class Passage:
    """What one stage let through, and what it took away; in bytes."""

    name: str
    """Of what comes out."""
    num_in: int
    num_out: int
    lost_to: str
    """What the missing bytes were lost to; said below them."""

    @property
    def num_lost(self) -> int:
        """A stage that adds bytes (an accent spelt out) loses none."""
        return max(0, self.num_in - self.num_out)


@dataclass(frozen=True, slots=True)
class Part:
    """A named number, and the style class that colours it."""

    name: str
    number: int
    style: str = ""


_FLOW_TOP: Final = 50
_FLOW_HEIGHT: Final = 168
_FALL: Final = 40
_NODE: Final = 8
_RIGHT_LABELS: Final = 150
_THINNEST: Final = 1.5
"""Pixels: what is lost can be seen, however little it is."""


def flow(passages: Sequence[Passage], parts: Sequence[Part]) -> Html:
    """Bytes as a stream from left to right that narrows where a stage takes some away.

    Args:
        passages: The stages in their order; what goes into the first is the whole.
        parts: What the last stage's output is divided into.
    """
    levels = [passages[0].num_in, *(passage.num_out for passage in passages)]
    pixels = _FLOW_HEIGHT / max(*levels, 1)
    gap = (_WIDTH - _RIGHT_LABELS - _NODE) / len(passages)
    places = [round(index * gap) for index in range(len(levels))]
    names = ["found", *(passage.name for passage in passages)]
    drawn: list[Html] = []
    for passage, (left, right) in zip(passages, pairwise(places), strict=True):
        drawn += _passage(passage, left=left, right=right, pixels=pixels, whole=levels[0])
    for name, level, place in zip(names, levels, places, strict=True):
        drawn += _node(name, level, x=place, pixels=pixels)
    drawn += _divided(parts, x=places[-1], pixels=pixels, whole=levels[0])
    height = _FLOW_TOP + _FLOW_HEIGHT + _FALL + 46
    title = f"Of {size(levels[0])} of text, {size(levels[-1])} are kept."
    return _picture(drawn, height=height, title=title)


def _passage(
    passage: Passage, *, left: float, right: float, pixels: float, whole: int
) -> Iterable[Html]:
    """The band that goes on, and the one that falls away."""
    through = min(passage.num_in, passage.num_out) * pixels
    yield element(
        "rect",
        class_="stream",
        x=left,
        y=_FLOW_TOP,
        width=right - left,
        height=max(through, _THINNEST),
    )
    if not passage.num_lost:
        return
    thickness = max(passage.num_lost * pixels, _THINNEST)
    upper, lower = _FLOW_TOP + through, _FLOW_TOP + through + thickness
    bottom = _FLOW_TOP + _FLOW_HEIGHT + _FALL
    inner = round((left + right - thickness) / 2 + _NODE)
    outer = inner + thickness
    start = left + _NODE
    path = (
        f"M{start:.1f},{upper:.1f} C{outer:.1f},{upper:.1f} {outer:.1f},{upper:.1f} "
        f"{outer:.1f},{bottom} H{inner} "
        f"C{inner},{lower:.1f} {inner},{lower:.1f} {start:.1f},{lower:.1f} Z"
    )
    middle = (inner + outer) / 2
    yield element("path", class_="fall", d=path)
    yield _label(size(passage.num_lost), x=middle, y=bottom + 18, style="strong")
    yield _label(f"{passage.lost_to}, {share(passage.num_lost, whole)}", x=middle, y=bottom + 35)


def _node(name: str, level: int, *, x: float, pixels: float) -> Iterable[Html]:
    anchor = "start" if x == 0 else "middle"
    middle = x if x == 0 else x + _NODE / 2
    height = max(level * pixels, _THINNEST)
    yield element("rect", class_="node", x=x, y=_FLOW_TOP, width=_NODE, height=height, rx=2)
    yield _label(name, x=middle, y=_FLOW_TOP - 28, anchor=anchor)
    yield _label(size(level), x=middle, y=_FLOW_TOP - 11, style="strong", anchor=anchor)


def _divided(parts: Sequence[Part], *, x: float, pixels: float, whole: int) -> Iterable[Html]:
    """The last level's parts, one above the other, with their names to the right."""
    top = float(_FLOW_TOP)
    label_top = top
    for part in parts:
        height = max(part.number * pixels, _THINNEST)
        yield element("rect", class_=part.style, x=x, y=top, width=_NODE, height=height, rx=2)
        middle = max(top + height / 2 - 4, label_top + 12)
        side = x + _NODE + 10
        yield _label(part.name, x=side, y=middle, anchor="start")
        amount = f"{size(part.number)}, {share(part.number, whole)}"
        yield _label(amount, x=side, y=middle + 17, style="strong", anchor="start")
        top += height
        label_top = middle + 22


_COLUMNS_TOP: Final = 26
_COLUMNS_HEIGHT: Final = 120
_WIDEST_COLUMN: Final = 72


def histogram(bins: Sequence[tuple[str, int]], *, title: str) -> Html:
    """A column for each name and number, in their order."""
    most = max((number for _, number in bins), default=1)
    pitch = min(_WIDTH / max(len(bins), 1), _WIDEST_COLUMN)
    base = _COLUMNS_TOP + _COLUMNS_HEIGHT
    drawn = [element("line", class_="axis", x1=0, x2=_WIDTH, y1=base, y2=base)]
    for index, (name, number) in enumerate(bins):
        height = max(number / most * _COLUMNS_HEIGHT, _THINNEST) if number else 0
        left, middle = index * pitch + 3, (index + 0.5) * pitch
        column = element(
            "rect", class_="column", x=left, y=base - height, width=pitch - 6, height=height, rx=2
        )
        drawn.append(_label(name, x=middle, y=base + 18))
        if number:
            above = _label(count(number), x=middle, y=base - height - 7, style="strong")
            drawn += [column, above]
    return _picture(drawn, height=base + 28, title=title)


def bar(number: int, most: int) -> Html:
    """A bar as wide as the number's share of the largest, to stand in a table's cell."""
    width = max(100 * number / max(most, 1), 0.5) if number else 0.0
    rectangle = element("rect", width=f"{width:.2f}%", height=8, rx=2)
    return element("svg", rectangle, class_="bar", width="100%", height=8, aria_hidden="true")


def _picture(drawn: Iterable[Html], *, height: float, title: str) -> Html:
    picture = element(
        "svg",
        element("title", title),
        *drawn,
        class_="picture",
        role="img",
        view_box=f"0 0 {_WIDTH} {height:g}",
    )
    return element("div", picture, class_="scroll")


def _label(
    text: str, *, x: float, y: float, style: str | None = None, anchor: str = "middle"
) -> Html:
    return element("text", text, class_=style, x=x, y=y, text_anchor=anchor)
