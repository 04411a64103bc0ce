from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from api.pages.charts import Part, Passage, bar, flow, histogram

PASSAGES = [
    Passage(name="read", num_in=1000, num_out=800, lost_to="not readable"),
    Passage(name="distinct", num_in=800, num_out=400, lost_to="duplicates"),
]


def test_the_stream_is_as_high_as_what_goes_through() -> None:
    root = ET.fromstring(flow(PASSAGES, [Part("train", 400)]))
    heights = {
        kind: [
            float(rect.attrib["height"]) for rect in root.iter("rect") if rect.get("class") == kind
        ]
        for kind in ("stream", "node")
    }
    whole = heights["node"][0]
    assert [height / whole for height in heights["stream"]] == pytest.approx([0.8, 0.4])
    assert [height / whole for height in heights["node"]] == pytest.approx([1, 0.8, 0.4])


def test_what_is_lost_falls_out_and_says_how_much_it_is() -> None:
    root = ET.fromstring(flow(PASSAGES, []))
    said = [text.text for text in root.iter("text")]
    assert len(list(root.iter("path"))) == 2
    assert {"200 B", "not readable, 20.0 %", "400 B", "duplicates, 40.0 %"} <= set(said)


@pytest.mark.parametrize(("num_in", "num_out"), [(0, 0), (5, 5), (5, 9), (10**12, 1)])
def test_any_stream_can_be_drawn(num_in: int, num_out: int) -> None:
    passage = Passage(name="x", num_in=num_in, num_out=num_out, lost_to="y")
    root = ET.fromstring(flow([passage], [Part("a", num_out), Part("b", 0)]))
    assert len(list(root.iter("path"))) == (num_in > num_out)
    for rect in root.iter("rect"):
        assert float(rect.attrib["height"]) > 0
        assert float(rect.attrib["width"]) > 0


def test_columns_are_as_high_as_their_numbers_and_nothing_is_no_column() -> None:
    root = ET.fromstring(histogram([("1", 100), ("2", 0), ("4", 25)], title="t"))
    heights = [float(rect.attrib["height"]) for rect in root.iter("rect")]
    assert len(heights) == 2
    assert heights[1] / heights[0] == pytest.approx(0.25)
    assert ET.fromstring(histogram([], title="t")).find("svg") is not None


def test_a_bar_is_as_wide_as_its_share_and_never_invisible() -> None:
    def width(number: int) -> str:
        return ET.fromstring(bar(number, 400))[0].attrib["width"]

    assert [width(n) for n in (400, 100, 1, 0)] == ["100.00%", "25.00%", "0.50%", "0.00%"]
