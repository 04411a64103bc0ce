from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from corpora.readers.lines import LongLine, split_lines


@given(
    data=st.binary(max_size=200).map(lambda data: data.replace(b"\x00", b"\n")),
    piece_bytes=st.integers(1, 50),
    max_line_bytes=st.integers(1, 30),
)
def test_every_byte_is_in_a_line_or_counted_by_one(
    data: bytes, piece_bytes: int, max_line_bytes: int
) -> None:
    pieces = (data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes))
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert list(split_lines(pieces, max_line_bytes)) == [
        line if len(line) <= max_line_bytes else LongLine(line[:max_line_bytes], len(line))
        for line in expected
    ]


def test_a_line_in_many_short_pieces_is_joined() -> None:
    assert list(split_lines((b"xy" for _ in range(10_000)), 10**6)) == [b"xy" * 10_000]
