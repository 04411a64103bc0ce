from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpora.removers.words import segment_starts, text_ends, word_starts
from corpora.vocabulary import END_OF_TEXT, PAD
from tests.tiny_text import encode, vocabulary


def window(*parts: str | int) -> NDArray[np.int64]:
    tokens = [id_ for part in parts for id_ in ([part] if isinstance(part, int) else encode(part))]
    return np.array([tokens])


def pieces(tokens: NDArray[np.int64], *, longest: int = 10) -> list[str]:
    """The text between the places where it may be cut."""
    segments = segment_starts(tokens)
    cuts = word_starts(tokens, segments, vocabulary(), longest=longest)
    return [
        b"".join(vocabulary().token_bytes(int(token)) for token in piece).decode()
        for piece in np.split(tokens.ravel(), cuts)[1:]
    ]


def test_word_has_what_follows_it_up_to_the_next_one() -> None:
    assert pieces(window("one, two (three) four.")) == ["one,", " two (", "three)", " four."]


def test_what_stands_before_the_first_word_belongs_to_it() -> None:
    assert pieces(window('"... one two')) == ['"... one', " two"]


def test_word_that_is_too_long_is_broken_into_characters() -> None:
    tokens = window("one,\u6f22\u5b57 two", END_OF_TEXT, "\u6f22\u5b57.")
    assert pieces(tokens, longest=8) == ["one,", "\u6f22\u5b57", " two", "\u6f22\u5b57."]
    assert pieces(tokens, longest=6) == ["one,", "\u6f22\u5b57", " two", "\u6f22", "\u5b57", "."]


def test_documents_begin_anew() -> None:
    tokens = window(END_OF_TEXT, "one two", END_OF_TEXT, "- three four")
    assert pieces(tokens) == ["one", " two", "- three", " four"]


def test_windows_below_each_other_do_not_touch() -> None:
    one = window("one two")[0]
    assert pieces(np.array([one, one])) == ["one", " two"] * 2


def test_text_ends_before_what_fills_a_window_up() -> None:
    rows = [[64, 65, 66, 67], [64, 65, END_OF_TEXT, PAD], [64, END_OF_TEXT, 65, END_OF_TEXT]]
    assert text_ends(np.array([*rows, [END_OF_TEXT, PAD, PAD, PAD]])).tolist() == [4, 2, 3, 0]
