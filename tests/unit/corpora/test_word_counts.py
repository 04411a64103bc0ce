from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.encoders.trials import trial_texts
from corpora.tokenizer import split_words
from corpora.word_counts import WordCounter, WordCutter
from tests.tiny_text import documents


@pytest.fixture(scope="module")
def cutter() -> WordCutter:
    return WordCutter()


@settings(max_examples=400)
@given(
    text=st.text(alphabet="a\u017f'sStreVELl1é\u0301 .,_\t\n\r\x0b\x1c\x85\u2028汉🐎", max_size=60)
)
def test_words_are_cut_as_the_pre_tokenizer_cuts_them(cutter: WordCutter, text: str) -> None:
    assert cutter.words(text) == split_words(text)


@settings(max_examples=200)
@given(text=st.text(max_size=60))
def test_characters_of_any_kind_have_the_classes_of_the_pre_tokenizer(
    cutter: WordCutter, text: str
) -> None:
    assert cutter.words(text) == split_words(text)


@pytest.mark.exhaustive
def test_every_trial_is_cut_as_the_pre_tokenizer_cuts_it(cutter: WordCutter) -> None:
    for text in trial_texts():
        assert cutter.words(text) == split_words(text)


def test_words_of_all_texts_are_counted() -> None:
    counter = WordCounter()
    for text in ("one two two", " two", "\u00e9t\u00e9"):
        counter.add(text)
    assert counter.counts() == {b"one": 1, b" two": 3, "\u00e9t\u00e9".encode(): 1}
    assert counter.num_unique_bytes() == 3 + 4 + 5


def test_a_text_of_many_pieces_has_the_words_of_the_whole() -> None:
    text = "".join(documents())
    counter = WordCounter()
    counter.add(text)
    assert counter.counts() == Counter(word.encode() for word in split_words(text))
