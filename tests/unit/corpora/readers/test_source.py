from __future__ import annotations

import gzip
import itertools
import json
import random
from array import array
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus_options import CorpusFormat, CorpusOptions
from corpora.readers.decoding import Utf8Decoder
from corpora.readers.jsonl import read_jsonl
from corpora.readers.plain import paragraph_border, read_plain
from corpora.readers.record import BadBytes, Dropped, Record
from corpora.readers.source import SourceFile, read_records
from corpora.readers.unpacking import format_of

PROSE = "Text enough to be text, and then a little more of it.\n" * 3


def records(
    directory: Path, data: bytes, *, filename: str = "a.txt", file_format: CorpusFormat = "auto"
) -> tuple[list[Record | Dropped], list[BadBytes]]:
    path = directory / "stored"
    path.write_bytes(data)
    file = SourceFile(path=path, filename=filename, sha256="0" * 64, id="file_1")
    noticed: list[BadBytes] = []
    found = read_records(file, options=CorpusOptions(format=file_format), notice=noticed.append)
    return list(found), noticed


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.txt", "txt"),
        ("a.md", "md"),
        ("A.JSONL", "jsonl"),
        ("a.jsonl.gz", "jsonl"),
        ("a.jsonl.zst", "jsonl"),
        ("a.csv", "csv"),
        ("a.csv.xz", "csv"),
        ("a.html", "txt"),
        ("a", "txt"),
        ("jsonl", "txt"),
    ],
)
def test_the_name_says_what_a_file_is(filename: str, expected: str) -> None:
    assert format_of(filename) == expected


@pytest.mark.parametrize("filename", ["a.txt", "b.md", "c"])
def test_a_whole_text_file_is_one_record(tmp_path: Path, filename: str) -> None:
    found, noticed = records(tmp_path, PROSE.encode(), filename=filename)
    assert found == [Record("whole file", PROSE)]
    assert not noticed


def test_a_given_format_beats_the_name(tmp_path: Path) -> None:
    line = b'{"text": "one"}\n'
    assert records(tmp_path, line, filename="a.txt", file_format="jsonl")[0] == [
        Record("line 1", "one")
    ]
    assert records(tmp_path, line, filename="a.jsonl", file_format="txt")[0] == [
        Record("whole file", '{"text": "one"}\n')
    ]


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]
)
@pytest.mark.parametrize("filename", ["a.txt", "a.jsonl"])
def test_byte_order_marks_are_understood(tmp_path: Path, encoding: str, filename: str) -> None:
    text = "Žluťoučký kůň 🐎 " * 20_000
    content = text if filename == "a.txt" else json.dumps({"text": text}, ensure_ascii=False)
    mark = {
        "utf-16-le": b"\xff\xfe",
        "utf-16-be": b"\xfe\xff",
        "utf-32-be": b"\0\0\xfe\xff",
    }.get(encoding, b"")
    found, noticed = records(tmp_path, mark + content.encode(encoding), filename=filename)
    assert [record.text for record in found if isinstance(record, Record)] == [text]
    assert not noticed


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\xff\xfe", gzip.compress(b"")])
def test_an_empty_file_is_one_dropped_record(tmp_path: Path, data: bytes) -> None:
    assert records(tmp_path, data)[0] == [Dropped("whole file", "empty", "")]


def test_a_jsonl_file_of_blank_lines_is_one_dropped_record(tmp_path: Path) -> None:
    found, _ = records(tmp_path, b"\n  \n\r\n", filename="a.jsonl")
    assert found == [Dropped("whole file", "empty", "")]


@pytest.mark.parametrize("filename", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(range(256)) * 1000, "not_text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(5000), "not_text"),
        (random.Random(0).randbytes(5000), "not_text"),
        (array("i", range(9999)).tobytes(), "not_text"),
        ("no mark".encode("utf-16-le") * 50, "not_utf8"),
        ("no mark".encode("utf-16-be") * 50, "not_utf8"),
        ("Съешь же ещё этих мягких булок".encode("cp1251") * 50, "not_utf8"),
        ("Zażółć gęślą jaźń".encode("iso8859-2") * 50, "not_utf8"),
        ("色は匂へど散りぬるを".encode("shift-jis") * 50, "not_utf8"),
    ],
    ids=[
        "bytes",
        "png",
        "random",
        "numbers",
        "utf-16-le",
        "utf-16-be",
        "cp1251",
        "latin-2",
        "sjis",
    ],
)
def test_what_is_no_text_that_can_be_read_is_one_dropped_record(
    tmp_path: Path, data: bytes, reason: str, filename: str
) -> None:
    found, noticed = records(tmp_path, data, filename=filename)
    assert [(record.place, record.reason) for record in found if isinstance(record, Dropped)] == [
        ("whole file", reason)
    ]
    assert len(found) == 1
    assert not noticed


def test_undecodable_bytes_are_replaced_and_reported_with_line_and_offset(tmp_path: Path) -> None:
    prose = PROSE.encode()
    found, noticed = records(tmp_path, prose + b"caf\xe9 au lait\n" + prose)
    assert found == [Record("whole file", PROSE + "caf\ufffd au lait\n" + PROSE)]
    assert noticed == [BadBytes(f"line 4, byte {len(prose) + 3}", "undecodable", 1)]


def test_broken_utf16_is_replaced_and_reported(tmp_path: Path) -> None:
    lone_surrogate = b"\x00\xd8"
    data = b"\xff\xfe" + PROSE.encode("utf-16-le") + lone_surrogate + b"a\0" + b"!"
    found, noticed = records(tmp_path, data)
    assert found == [Record("whole file", PROSE + "\ufffda\ufffd")]
    assert [bad.place for bad in noticed] == [
        f"near byte {2 + 2 * len(PROSE)}",
        f"byte {len(data)}",
    ]


def test_every_undecodable_byte_is_counted_even_beyond_the_reported_places() -> None:
    noticed: list[BadBytes] = []
    decoder = Utf8Decoder(noticed.append)
    text = decoder.decode(b"x\xff" * 100) + decoder.decode("�".encode() + b"\xff", final=True)
    assert text.count("\ufffd") == 102
    assert sum(bad.count for bad in noticed) == 101


@settings(max_examples=60)
@given(data=st.binary(max_size=60), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_decoding_in_pieces_is_decoding_at_once(data: bytes, cuts: list[int]) -> None:
    decoder = Utf8Decoder(lambda _: None)
    borders = [0, *sorted(cuts), len(data)]
    text = "".join(decoder.decode(data[start:end]) for start, end in itertools.pairwise(borders))
    assert text + decoder.decode(b"", final=True) == data.decode(errors="replace")


def test_a_jsonl_line_is_a_record_and_bad_lines_are_dropped_with_their_reason(
    tmp_path: Path,
) -> None:
    lines = [
        '{"text": "first", "other": 1}',
        "",
        "not json",
        '["a list"]',
        '{"body": "elsewhere"}',
        '{"text": 5}',
        '{"text": null}',
        '{"text": "cut off',
        '{"text": "NaN is not JSON, but is written", "score": NaN}',
        "[" * 5000,
        '{"text": "last"}',
    ]
    found, _ = records(tmp_path, "\r\n".join(lines).encode(), filename="a.jsonl")
    assert [
        (record.place, record.text if isinstance(record, Record) else record.reason)
        for record in found
    ] == [
        ("line 1", "first"),
        ("line 3", "bad_json"),
        ("line 4", "no_text_field"),
        ("line 5", "no_text_field"),
        ("line 6", "text_is_no_string"),
        ("line 7", "text_is_no_string"),
        ("line 8", "bad_json"),
        ("line 9", "NaN is not JSON, but is written"),
        ("line 10", "bad_json"),
        ("line 11", "last"),
    ]


def test_bad_bytes_and_lone_surrogates_of_a_line_are_replaced_and_reported(tmp_path: Path) -> None:
    good = json.dumps({"text": PROSE}).encode()
    data = b"\n".join([good, b'{"text": "caf\xe9"}', b'{"text": "a\\ud800b \\ud83d\\ude00"}'])
    found, noticed = records(tmp_path, data, filename="a.jsonl")
    assert found[1:] == [Record("line 2", "caf\ufffd"), Record("line 3", "a\ufffdb 😀")]
    assert noticed == [
        BadBytes("line 2", "undecodable", 1),
        BadBytes("line 3", "lone_surrogate", 1),
    ]


@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 10_000])
def test_a_line_that_is_too_long_is_dropped_without_touching_its_neighbours(
    piece_bytes: int,
) -> None:
    data = b'{"text": "a"}\n{"text": "' + b"x" * 500 + b'"}\n{"text": "b"}\n' + b"y" * 300
    pieces = (data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes))
    found = list(read_jsonl(pieces, text_field="text", notice=lambda _: None, max_line_bytes=100))
    assert [found[0], found[2]] == [Record("line 1", "a"), Record("line 3", "b")]
    assert [r.reason for r in (found[1], found[3]) if isinstance(r, Dropped)] == [
        "line_too_long",
        "line_too_long",
    ]
    assert len(found) == 4


@settings(max_examples=60)
@given(
    text=st.text(alphabet="ab é\n\r🐎", min_size=1, max_size=400),
    piece_bytes=st.integers(1, 50),
    max_record_bytes=st.integers(8, 100),
)
def test_a_huge_file_is_cut_into_records_that_together_are_the_file(
    text: str, piece_bytes: int, max_record_bytes: int
) -> None:
    data = text.encode()
    pieces = (data[i : i + piece_bytes] for i in range(0, len(data), piece_bytes))
    found = list(read_plain(pieces, notice=lambda _: None, max_record_bytes=max_record_bytes))
    assert "".join(record.text for record in found) == text
    assert all(record.text for record in found)
    if len(data) > max_record_bytes:
        assert all(record.is_part for record in found)
        assert len(found) > 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two\n\nthree four\nfive six", "one two\n\nthree four\n"),
        ("aaaaaaaaaaaa\n\nbb\ncc dd ee", "aaaaaaaaaaaa\n\n"),
        ("aaaaaaaaaaaaaa bb cc dd ee ff", "aaaaaaaaaaaaaa bb cc "),
        ("a" * 40, "a" * 22),
    ],
)
def test_cuts_prefer_paragraphs_then_lines_then_words(text: str, expected: str) -> None:
    assert text[: paragraph_border(text, 22)] == expected
