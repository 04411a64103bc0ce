from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.counts import parse_count


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("20M", 20_000_000),
        ("1.5B", 1_500_000_000),
        ("64k", 64_000),
        ("7", 7),
        (" 2 T ", 2 * 10**12),
    ],
)
def test_suffixes_multiply(written: str, meant: int) -> None:
    assert parse_count(written) == meant


@pytest.mark.parametrize("written", ["", "M", "1.5", "-3", "1e9", "0x10", "20 MB", "1.0000001k"])
def test_what_is_not_a_whole_number_of_things_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse_count(written)


@given(st.integers(min_value=0, max_value=10**14))
def test_a_plain_number_means_itself_as_text_too(number: int) -> None:
    assert parse_count(number) == parse_count(str(number)) == number
