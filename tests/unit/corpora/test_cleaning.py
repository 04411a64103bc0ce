from __future__ import annotations

import pytest

from core.cleaning_options import CleaningOptions, CleaningProfile
from corpora.cleaning import Cleaned, Cleaner, normalise
from corpora.readers.record import BadBytes, Dropped, Record


def cleaned(text: str, profile: CleaningProfile = "light") -> Cleaned | Dropped:
    cleaner = Cleaner(CleaningOptions(profile=profile))
    return cleaner.clean(Record("line 1", text), notice=lambda _: None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "café"),
        ("a\r\nb\rc\nd\x0ce\x0bf\x85g", "a\nb\nc\nd\ne\nf\ng"),
        ("a\x07b\x1b[1mc\x7fd\x9fe\ufefff\ttab", "ab[1mcdef\ttab"),
        ("  spaces   stay \n\n\n", "  spaces   stay \n\n\n"),
        ("ASCII, plain.", "ASCII, plain."),
    ],
)
def test_light_cleaning_normalises_and_does_nothing_else(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(expected) == expected


def test_without_cleaning_a_text_stays_as_it_was_decoded() -> None:
    text = "cafe\u0301\r\n\x07 and the rest of a long enough line"
    result = cleaned(text, "none")
    assert isinstance(result, Cleaned)
    assert result.text == text


def test_nul_is_removed_and_reported_in_every_profile() -> None:
    noticed: list[BadBytes] = []
    record = Record("line 9", "long enough that it counts as text\0, with two\0")
    result = Cleaner(CleaningOptions(profile="none")).clean(record, notice=noticed.append)
    assert isinstance(result, Cleaned)
    assert result.text == record.text.replace("\0", "")
    assert noticed == [BadBytes("line 9", "nul", 2)]


@pytest.mark.parametrize("profile", ["none", "light"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty"), (" \n\t ", "empty"), ("\0\0\0\x01", "not_text"), ("ab\ufffd", "not_text")],
)
def test_only_what_is_empty_or_no_text_is_dropped(
    text: str, reason: str, profile: CleaningProfile
) -> None:
    result = cleaned(text, profile)
    assert isinstance(result, Dropped)
    assert result.reason == reason
