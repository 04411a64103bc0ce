from __future__ import annotations

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.html import Html, element, joined, visible


@given(st.text())
def test_text_comes_back_as_text_whatever_it_is(text: str) -> None:
    written = element("p", text, title=text)
    inner = written.removeprefix('<p title="').removesuffix("</p>")
    attribute, _, child = inner.partition('">')
    assert unescape(attribute) == unescape(child) == text
    assert "<" not in attribute + child


def test_markup_is_nested_as_it_is() -> None:
    assert element("p", "a < ", element("b", "c"), class_="x") == '<p class="x">a &lt; <b>c</b></p>'
    assert joined([Html("<br>"), "<br>"]) == "<br>&lt;br&gt;"


def test_attributes_are_written_as_html_and_svg_have_them() -> None:
    drawn = element("svg", view_box="0 0 9 9", text_anchor="end", x=1 / 3, hidden=None)
    assert drawn == '<svg viewBox="0 0 9 9" text-anchor="end" x="0.33"></svg>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\x00b\x1b[31m", "a␀b␛[31m"),
        ("invoice\u202etxt.exe", "invoice�txt.exe"),
        ("\u2066isolated\u2069", "�isolated�"),
        ("tabs\tand\nlines", "tabs\tand\nlines"),
        ("Ünïcode 漢字", "Ünïcode 漢字"),
    ],
)
def test_what_would_deceive_the_eye_is_made_visible(text: str, seen: str) -> None:
    assert visible(text) == seen
