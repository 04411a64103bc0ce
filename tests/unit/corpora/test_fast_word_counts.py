from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.encoders.gigatoken import EngineFailed
from corpora.encoders.trials import trial_texts
from corpora.fast_word_counts import (
    LEARNED_CHARACTERS,
    FastWordCounter,
    _add_parts,
    _KnownWords,
)
from corpora.word_counts import WordCounter
from tests.tiny_text import documents

ALPHABET = "ab1\u00bd\u0663\u00e9.,'s \t\n\r\u2003\u6f22\U0001f40e"


def plain(texts: list[str]) -> dict[bytes, int]:
    counter = WordCounter()
    for text in texts:
        counter.add(text)
    return counter.counts()


def known_words(texts: list[str]) -> list[bytes]:
    return sorted(word for word in plain(texts) if len(word) > 1)


def counted_by(fast: _KnownWords, texts: list[str]) -> dict[bytes, int]:
    rest = WordCounter()
    _add_parts(rest, fast.count(texts))
    counts = rest.counts()
    for word, count in fast.counts().items():
        counts[word] = counts.get(word, 0) + count
    return counts


@settings(max_examples=300)
@given(
    learned=st.text(alphabet=ALPHABET, max_size=60),
    texts=st.lists(st.text(alphabet=ALPHABET, max_size=60), min_size=1, max_size=4),
)
def test_whatever_words_are_known_the_counts_are_those_of_the_plain_counter(
    learned: str, texts: list[str]
) -> None:
    assert counted_by(_KnownWords(known_words([learned, *texts[:1]])), texts) == plain(texts)


def test_odd_texts_are_counted_alike() -> None:
    texts = list(trial_texts())[:2000]
    ascii_texts = [text for text in texts if text.isascii()]
    fast = _KnownWords(known_words([*documents()[:3], *ascii_texts[::2]]))
    assert counted_by(fast, ascii_texts) == plain(ascii_texts)


@pytest.mark.slow
def test_the_fast_counter_takes_over_and_changes_nothing() -> None:
    generator = random.Random(1)
    lines = [line for text in documents() for line in text.splitlines(keepends=True)]
    counter = FastWordCounter()
    texts: list[str] = []
    while sum(len(text) for text in texts) < LEARNED_CHARACTERS * 1.3:
        texts.append(
            "".join(generator.choices(lines, k=2000)) + f" {len(texts)} caf\u00e9 x{len(texts)}y"
        )
    texts.insert(-3, "too new: \U0003ffff.")
    for text in texts:
        counter.add(text)
    assert counter._fast is not None
    assert counter.num_unique_bytes() == sum(map(len, plain(texts)))
    assert counter.counts() == plain(texts)


def test_an_engine_that_fails_on_the_way_loses_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = FastWordCounter()
    counter.add("one two")
    counter._fast = _KnownWords([b" two"])
    counter.add("one two two")

    def fail(texts: list[str]) -> None:
        raise EngineFailed(f"cannot encode {len(texts)} texts")

    monkeypatch.setattr(counter._fast, "count", fail)
    assert counter.counts() == {b"one": 2, b" two": 3}
