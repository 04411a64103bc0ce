from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadData
from corpora.readers.csv import read_csv
from corpora.readers.origin import Origin
from corpora.readers.record import BadBytes, Dropped, Record


def read(
    data: bytes, *, max_row_bytes: int = 1000, piece_bytes: int = 50
) -> tuple[list[tuple[str, str]], list[BadBytes]]:
    """The place of each row, and its text or the reason why it has none."""
    noticed: list[BadBytes] = []
    found = read_csv(
        pieces(data, piece_bytes),
        text_field="text",
        notice=noticed.append,
        origin=Origin("user.csv", num_bytes=len(data)),
        max_row_bytes=max_row_bytes,
    )
    return [(r.place, r.text if isinstance(r, Record) else r.reason) for r in found], noticed


def pieces(data: bytes, piece_bytes: int) -> Iterator[bytes]:
    return (data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes))


def texts(data: bytes) -> list[str]:
    return [text for _, text in read(data)[0]]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_are_read_whatever_separates_them_and_their_fields(
    delimiter: str, ending: str
) -> None:
    rows = [["id", "text", "n"], ["1", "one two", "x"], ["2", "three", ""]]
    data = ending.join(delimiter.join(row) for row in rows)
    assert read(data.encode())[0] == [("row 1", "one two"), ("row 2", "three")]
    assert read((data + ending).encode())[0] == [("row 1", "one two"), ("row 2", "three")]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b'"a, b"', "a, b"),
        (b'"a ""quoted"" word"', 'a "quoted" word'),
        (b'"two\nlines"', "two\nlines"),
        (b'"two\r\n\r\nlines"', "two\r\n\r\nlines"),
        (b'""', ""),
        (b'""""', '"'),
        (b'5" pipe', '5" pipe'),
        (b'a "quoted" word', 'a "quoted" word'),
        (b'"quoted" and on', "quoted and on"),
    ],
)
def test_quotes_are_those_of_the_standard(field: bytes, expected: str) -> None:
    assert texts(b"text,n\n" + field + b",1\n" + field + b",2") == [expected, expected]


@given(
    rows=st.lists(
        st.tuples(st.text('ab,;\t"\n\r é🐎', max_size=30), st.text('x"\n, ', max_size=5)),
        max_size=6,
    ),
    piece_bytes=st.integers(13, 40),  # the header's, whose end tells the file's
)
def test_what_the_standard_library_writes_is_read_back(
    rows: list[tuple[str, str]], piece_bytes: int
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "n"), *rows])
    found, _ = read(file.getvalue().encode(), piece_bytes=piece_bytes)
    assert [text for _, text in found] == [text for text, _ in rows]


def test_a_header_may_be_quoted_and_follow_a_blank_line() -> None:
    assert texts(b'\n"n","text"\n1,one\n\n \n2,two\n') == ["one", "two"]


def test_a_file_without_the_column_names_those_it_has() -> None:
    with pytest.raises(BadData, match=r"user\.csv has no column 'text': .* 'id', 'body'") as caught:
        read(b"id,body\n1,one\n")
    assert caught.value.error_code == "no_text_field"
    assert caught.value.param == "text_field"


def test_an_empty_table_has_no_rows() -> None:
    assert read(b"") == ([], [])
    assert read(b"id,text\n") == ([], [])


def test_bad_rows_are_dropped_between_good_ones() -> None:
    data = b'id,text\n1,one\n2\n3,cut, in two\n4,four,,\n5,"five"\n6,"never closed\n7,lost\n'
    assert read(data)[0] == [
        ("row 1", "one"),
        ("row 2", "no_text_field"),
        ("row 3", "too_many_fields"),
        ("row 4", "four"),
        ("row 5", "five"),
        ("row 6", "unclosed_quote"),
    ]


@pytest.mark.parametrize(
    "long_row",
    [b"2," + b"x" * 500, b'2,"' + b"line\n" * 100 + b'"', b"," * 500, b'2,"' + b'""' * 300 + b'"'],
    ids=["one line", "many lines", "many fields", "many quotes"],
)
@pytest.mark.parametrize("piece_bytes", [1, 64, 10_000])
def test_a_row_that_is_too_long_is_dropped_without_touching_its_neighbours(
    long_row: bytes, piece_bytes: int
) -> None:
    data = b"id,text\n1,one\n" + long_row + b"\n3,three\n"
    found = list(
        read_csv(
            pieces(data, piece_bytes),
            text_field="text",
            notice=lambda _: None,
            origin=Origin("user.csv", num_bytes=len(data)),
            max_row_bytes=100,
        )
    )
    assert [found[0], found[2]] == [Record("row 1", "one"), Record("row 3", "three")]
    assert isinstance(found[1], Dropped)
    assert (found[1].reason, found[1].num_bytes) == ("row_too_long", len(long_row))
    assert len(found) == 3


def test_undecodable_bytes_of_the_text_are_replaced_and_reported_with_their_row() -> None:
    found, noticed = read(b"id,text\n\xff,one\n2,caf\xe9\n")
    assert found == [("row 1", "one"), ("row 2", "caf\ufffd")]
    assert noticed == [BadBytes("row 2", "undecodable", 1)]


def test_no_field_is_too_long_because_another_reader_of_the_process_says_so() -> None:
    before = csv.field_size_limit()
    data = b"text\n" + b"x" * (2 * before) + b"\n"
    (found, _) = read(data, max_row_bytes=10 * before, piece_bytes=10_000)
    assert len(found[0][1]) == 2 * before
    assert csv.field_size_limit() == before
