from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from corpora.readers.stream import ByteStream

DATA = bytes(range(65, 91)) * 3


def stream(piece_bytes: int, data: bytes = DATA) -> ByteStream:
    return ByteStream(pieces(piece_bytes, data))


def pieces(piece_bytes: int, data: bytes) -> Iterator[bytes]:
    return (data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes))


@given(
    piece_bytes=st.integers(1, 40),
    steps=st.lists(
        st.tuples(st.sampled_from(["peek", "read", "skip", "pieces"]), st.integers(0, 40)),
        max_size=10,
    ),
)
def test_bytes_are_taken_in_order_however_they_arrive(
    piece_bytes: int, steps: list[tuple[str, int]]
) -> None:
    reader = stream(piece_bytes)
    position = 0
    for what, count in steps:
        expected = DATA[position : position + count]
        if what == "peek":
            assert reader.peek(count) == expected
            continue
        if what == "read":
            assert reader.read(count) == expected
        elif what == "skip":
            assert reader.skip(count) == len(expected)
        else:
            assert b"".join(reader.pieces(count)) == expected
        position += len(expected)
    assert b"".join(reader.pieces()) == DATA[position:]


@given(
    data=st.binary(max_size=100).map(lambda data: data.replace(b"\x00", b"\n")),
    piece_bytes=st.integers(1, 30),
    max_bytes=st.integers(1, 20),
)
def test_lines_end_at_line_feeds_or_at_the_limit(
    data: bytes, piece_bytes: int, max_bytes: int
) -> None:
    reader = stream(piece_bytes, data)
    lines = list(iter(lambda: reader.read_line(max_bytes), b""))
    assert b"".join(lines) == data
    for line in lines[:-1]:
        assert line.endswith(b"\n") or len(line) == max_bytes
        assert b"\n" not in line[:-1]


def test_content_that_is_left_in_the_middle_can_be_passed_over() -> None:
    reader = stream(4)
    content = reader.pieces(20)
    next(content)
    assert b"".join(content) == DATA[4:20]
    assert reader.read(3) == DATA[20:23]
