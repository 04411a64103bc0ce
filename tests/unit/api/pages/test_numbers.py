from __future__ import annotations

import pytest

from api.pages.numbers import counted, share, signed, size


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.00 kB"),
        (12_345, "12.3 kB"),
        (9_999, "10.0 kB"),
        (99_999, "100 kB"),
        (999_499, "999 kB"),
        (999_999, "1.00 MB"),
        (5_000_000_000, "5.00 GB"),
        (7_000_000_000_000_000, "7000 TB"),
    ],
)
def test_sizes_have_three_digits_and_a_unit(num_bytes: int, words: str) -> None:
    assert size(num_bytes) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (5, 5, "100 %"),
        (1, 10**6, "< 0.1 %"),
        (10**6 - 1, 10**6, "> 99.9 %"),
        (1, 3, "33.3 %"),
    ],
)
def test_a_share_never_rounds_something_away(part: int, whole: int, words: str) -> None:
    assert share(part, whole) == words


def test_counts_agree_with_their_nouns() -> None:
    assert [counted(n, "file") for n in (0, 1, 1234)] == ["0 files", "1 file", "1,234 files"]
    assert counted(2, "entry", "entries") == "2 entries"


def test_signs_are_written() -> None:
    assert [signed(n) for n in (1234, 0, -5)] == ["+1,234", "0", "\N{MINUS SIGN}5"]
