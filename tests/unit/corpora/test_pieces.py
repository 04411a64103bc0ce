from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import PreTokenizer

from corpora.pieces import pieces
from corpora.tokenizer import word_splitter

ALPHABET = "ab1é_.,' \t\n\r\x0b\x85\u2028\u0301漢🐎"


@pytest.fixture(scope="module")
def splitter() -> PreTokenizer:
    return word_splitter()


def words(splitter: PreTokenizer, text: str) -> list[str]:
    return [word for word, _ in splitter.pre_tokenize_str(text)]


@settings(max_examples=400)
@given(text=st.text(alphabet=ALPHABET, max_size=200), num_characters=st.integers(2, 40))
def test_pieces_put_together_are_the_text(text: str, num_characters: int) -> None:
    cut = list(pieces(text, num_characters=num_characters))
    assert "".join(cut) == text
    assert all(cut)
    assert all(len(piece) <= num_characters for piece in cut)


@settings(max_examples=400)
@given(
    lines=st.lists(st.text(alphabet=ALPHABET, min_size=1, max_size=12), max_size=60),
    num_characters=st.integers(60, 120),
)
def test_cutting_at_borders_changes_no_word(
    splitter: PreTokenizer, lines: list[str], num_characters: int
) -> None:
    text = "".join(f"{line}z\n" for line in lines)
    cut = [
        word
        for piece in pieces(text, num_characters=num_characters)
        for word in words(splitter, piece)
    ]
    assert cut == words(splitter, text)


def test_a_line_without_end_is_cut_between_words(splitter: PreTokenizer) -> None:
    text = "some words in one very long line, with 12 numbers and it's fine " * 50
    cut = list(pieces(text, num_characters=40))
    assert len(cut) > 50
    assert [word for piece in cut for word in words(splitter, piece)] == words(splitter, text)
