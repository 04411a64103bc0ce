from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpora.text_view import Repeats, TextView

texts = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \n\tab1.!\x1c\x85\u2028"))
).filter(lambda text: bool(text) and not text.isspace())


@given(texts)
def test_counts_that_are_taken_in_haste_are_the_plain_ones(text: str) -> None:
    view = TextView(text)
    words = text.split()
    assert view.num_words == len(words)
    assert view.num_word_characters == sum(len(word) for word in words)
    assert view.num_alphabetic_words == sum(any(c.isalpha() for c in word) for word in words)
    assert view.num_alphanumeric == sum(c.isalnum() for c in text)


@given(texts)
def test_there_is_always_a_word_a_line_and_a_paragraph(text: str) -> None:
    view = TextView(text)
    assert all((view.words, view.lines, view.paragraphs, view.line_lengths))
    assert all((*view.lines, *view.paragraphs))


def test_blank_lines_are_no_lines_but_part_paragraphs() -> None:
    view = TextView("\n one \n\n \t\n two\nthree\n\n\n")
    assert view.lines == ["one", "two", "three"]
    assert view.paragraphs == ["one", "two\nthree"]
    assert view.line_lengths == [0, 5, 0, 2, 4, 5, 0, 0]


def test_what_stood_there_before_is_counted_each_time() -> None:
    assert TextView("abc\nab\nabc\nabc\nab").repeated_lines == Repeats(3, 8)
    assert TextView("abc\n\nab\n\nabc").repeated_paragraphs == Repeats(1, 3)
    # equal lines in different paragraphs
    assert TextView("abc\nab\n\nabc\nba").repeated_paragraphs == Repeats(0, 0)
