"""The loss of a job as a picture: an SVG drawn by hand, readable on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

Point = tuple[int, float]

_WIDTH, _HEIGHT = 800, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 56, 48
_NUM_TICKS: Final = 6
_TITLE_CHARACTERS: Final = 38
"""What fits to the left of the legend."""
_STYLE: Final = """\
svg{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:12px}
.page{fill:#fff}.title{font-size:16px;font-weight:600;fill:#1c2024}.text{fill:#5b6470}
.grid{stroke:#e4e7eb}.axis{stroke:#9aa3ad}.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.c0{stroke:#2f6fdb}.c1{stroke:#d9480f}.f0{fill:#2f6fdb}.f1{fill:#d9480f}
@media(prefers-color-scheme:dark){.page{fill:#14171a}.title{fill:#eceff2}.text{fill:#9aa3ad}
.grid{stroke:#2a2f35}.axis{stroke:#5b6470}.c0{stroke:#6ea8fe}.c1{stroke:#ff922b}
.f0{fill:#6ea8fe}.f1{fill:#ff922b}}"""


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values along one side of the picture, and the pixels they fall on."""

    low: float
    high: float
    ticks: tuple[float, ...]
    first_pixel: float
    last_pixel: float

    @classmethod
    def over(cls, values: Sequence[float], *, first_pixel: float, last_pixel: float) -> _Axis:
        """An axis with round ticks that holds all of ``values``."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        if high - low < 1e-9 * max(1.0, abs(high)):
            low, high = low - 0.5, high + 0.5
        step = _round_step((high - low) / _NUM_TICKS)
        first, last = math.floor(low / step), math.ceil(high / step)
        ticks = tuple(round(index * step, 12) for index in range(first, last + 1))
        return cls(ticks[0], ticks[-1], ticks, first_pixel, last_pixel)

    def pixel(self, value: float) -> float:
        """Where a value falls."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.first_pixel + share * (self.last_pixel - self.first_pixel), 1)


def draw(curves: Mapping[str, Sequence[Point]], *, title: str) -> str:
    """Draw curves over steps.

    Args:
        curves: For each name, ``(step, value)`` with rising steps; at most two are told apart by
            colour.
        title: What stands above.
    """
    points = [point for curve in curves.values() for point in curve]
    steps = _Axis.over(
        [0.0, *(float(step) for step, _ in points)],
        first_pixel=_LEFT,
        last_pixel=_WIDTH - _RIGHT,
    )
    losses = _Axis.over(
        [value for _, value in points], first_pixel=_HEIGHT - _BOTTOM, last_pixel=_TOP
    )
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    label = f'role="img" aria-label="{_quoted(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}" rx="8"/>',
        f'<text class="title" x="{_LEFT}" y="28">{escape(_shortened(title))}</text>',
        *_horizontal_lines(losses),
        *_step_labels(steps),
        *_legend(curves),
    ]
    for index, curve in enumerate(curves.values()):
        parts += _curve(curve, index, steps=steps, losses=losses)
    if not points:
        parts.append(
            f'<text class="text" x="{_WIDTH / 2}" y="{_HEIGHT / 2}" text-anchor="middle">'
            "no values yet</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


def _shortened(title: str) -> str:
    return title if len(title) <= _TITLE_CHARACTERS else f"{title[: _TITLE_CHARACTERS - 1]}…"


def _horizontal_lines(losses: _Axis) -> list[str]:
    lines = []
    for tick in losses.ticks:
        y = losses.pixel(tick)
        kind = "axis" if tick == losses.ticks[0] else "grid"
        lines.append(
            f'<line class="{kind}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text class="text" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{tick:g}</text>'
        )
    return lines


def _step_labels(steps: _Axis) -> list[str]:
    y = _HEIGHT - _BOTTOM + 18
    labels = [
        f'<text class="text" x="{steps.pixel(tick)}" y="{y}" text-anchor="middle">{tick:g}</text>'
        for tick in steps.ticks
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [
        *labels,
        f'<text class="text" x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">step</text>',
    ]


def _legend(curves: Mapping[str, Sequence[Point]]) -> list[str]:
    entries = []
    for index, (name, curve) in enumerate(curves.items()):
        x = _WIDTH - _RIGHT - 190 * (len(curves) - index)
        last = f" {curve[-1][1]:.3f}" if curve else ""
        entries.append(
            f'<rect class="f{index % 2}" x="{x}" y="19" width="12" height="12" rx="3"/>'
            f'<text class="text" x="{x + 18}" y="29">{escape(name)}{last}</text>'
        )
    return entries


def _curve(curve: Sequence[Point], index: int, *, steps: _Axis, losses: _Axis) -> list[str]:
    places = [(steps.pixel(step), losses.pixel(value)) for step, value in curve]
    if len(places) == 1:
        [(x, y)] = places
        return [f'<circle class="f{index % 2}" cx="{x}" cy="{y}" r="3"/>']
    path = " ".join(f"{x},{y}" for x, y in places)
    return [f'<polyline class="line c{index % 2}" points="{path}"/>'] if places else []


def _round_step(rough: float) -> float:
    """The next larger of 1, 2, 2.5 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})
