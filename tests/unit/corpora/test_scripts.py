from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import scripts
from corpora.scripts import ScriptCounter


def counted(*texts: str) -> dict[str, int]:
    counter = ScriptCounter()
    for text in texts:
        counter.add(text)
    return counter.scripts


def test_characters_are_counted_by_script_and_the_most_frequent_comes_first() -> None:
    texts = ["Привет, мир!", "hello", "漢字とカタカナ", "naïve ½"]
    assert counted(*texts) == {
        "Latin": 10, "Cyrillic": 9, "Common": 5, "Katakana": 4, "Han": 2, "Hiragana": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("script", "name"),
    [
        ("Latin", "LATIN SMALL LETTER"), ("Greek", "GREEK SMALL LETTER"),
        ("Cyrillic", "CYRILLIC SMALL LETTER"), ("Armenian", "ARMENIAN SMALL LETTER"),
        ("Hebrew", "HEBREW LETTER"), ("Arabic", "ARABIC LETTER"), ("Thai", "THAI CHARACTER"),
        ("Devanagari", "DEVANAGARI LETTER"), ("Bengali", "BENGALI LETTER"),
        ("Tamil", "TAMIL LETTER"), ("Telugu", "TELUGU LETTER"), ("Georgian", "GEORGIAN LETTER"),
        ("Hangul", "HANGUL SYLLABLE"), ("Hiragana", "HIRAGANA LETTER"),
        ("Katakana", "KATAKANA LETTER"), ("Han", "CJK UNIFIED IDEOGRAPH"),
        ("Ethiopic", "ETHIOPIC SYLLABLE"), ("Khmer", "KHMER LETTER"),
    ],
)  # fmt: skip
def test_the_letters_of_a_script_count_as_it(script: str, name: str) -> None:
    letters = [chr(i) for i in range(0x3FFFF) if unicodedata.name(chr(i), "").startswith(name)]
    assert counted("".join(letters)).get(script, 0) > 0.95 * len(letters)


@given(st.lists(st.text()))
def test_every_character_is_counted_once_however_texts_are_grouped(texts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "_CHARACTERS_AT_ONCE", 10)
        apart = counted(*texts)
    assert apart == counted("".join(texts))
    assert sum(apart.values()) == sum(map(len, texts))
