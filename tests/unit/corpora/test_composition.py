from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.composition import composed

MARKS = "\u0300\u0301\u0315\u0323\u0338\u0344\u0345\u05b0\u0f71\u0f72\u0f73\u0f75\u0f81\u3099"
"""Of many classes, among them all that decompose to several marks."""


@given(st.text())
def test_any_text_is_composed_as_unicode_says(text: str) -> None:
    assert composed(text) == unicodedata.normalize("NFC", text)


@given(st.text(alphabet=f"ae\u30ab\u1100\u1161 {MARKS}"), st.text(alphabet=MARKS, min_size=31))
def test_marks_out_of_order_are_composed_as_unicode_says(before: str, run: str) -> None:
    text = f"{before}{run}e{run}"
    assert composed(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("marks", ["\u0315\u0300", "\u0f73", "\u0345\u0f71\u0301"])
def test_a_million_marks_out_of_order_end_up_in_order(marks: str) -> None:
    text = composed("\u30ab" + marks * (1_000_000 // len(marks)))
    classes = [unicodedata.combining(mark) for mark in text[1:]]
    assert len(classes) > 900_000
    assert classes == sorted(classes)


def test_all_marks_are_in_the_planes_that_are_searched() -> None:
    beyond = map(chr, range(0x20000, sys.maxunicode + 1))
    assert not any(
        unicodedata.combining(unicodedata.normalize("NFD", character)[0]) for character in beyond
    )
