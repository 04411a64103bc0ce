from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from services.loss_curve import draw

SVG = "{http://www.w3.org/2000/svg}"


def test_each_curve_is_a_line_through_its_points() -> None:
    curves = {
        "train/loss": [(1, 9.0), (50, 5.0), (100, 4.0)],
        "validation/loss": [(50, 5.5), (100, 4.5)],
    }
    root = ET.fromstring(draw(curves, title="x: loss"))
    lines = root.findall(f"{SVG}polyline")
    points = [
        [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()] for line in lines
    ]
    assert [len(line) for line in points] == [3, 2]
    first, last = points[0][0], points[0][-1]
    assert first[0] < last[0], "steps go to the right"
    assert first[1] < last[1], "a smaller loss is further down"
    assert points[0][1][0] == points[1][0][0], "equal steps stand above each other"


def test_axes_have_round_ticks_and_names() -> None:
    root = ET.fromstring(draw({"train/loss": [(0, 0.0), (1000, 10.0)]}, title="t"))
    texts = [element.text for element in root.findall(f"{SVG}text")]
    assert {"step", "0", "200", "1000", "10", "t"} <= set(texts)


@pytest.mark.parametrize(
    "curve",
    [[], [(5, 2.0)], [(0, 1.0), (1, 1.0)], [(0, 1e-8), (10**9, 1e8)], [(1, -3.0), (2, 0.0)]],
)
def test_any_curve_can_be_drawn(curve: list[tuple[int, float]]) -> None:
    root = ET.fromstring(draw({"train/loss": curve, "validation/loss": []}, title="t"))
    assert root.tag == f"{SVG}svg"


def test_a_title_is_text_and_no_markup() -> None:
    picture = draw({}, title='</title><script>alert("x")</script>')
    assert "<script" not in picture
    assert 'alert("x")' in "".join(ET.fromstring(picture).itertext())
