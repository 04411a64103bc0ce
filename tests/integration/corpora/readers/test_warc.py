from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard

from corpora.readers.record import BadBytes, Record
from tests.warcs import WarcFile

PAGE = "<!doctype html><body><main><p>Žluťoučký kůň.</p></main>"
TEXT = "Žluťoučký kůň."
URI = "http://example.org/a"


def response(body: bytes, **options: Any) -> bytes:
    file = WarcFile()
    file.response(URI, body, **options)
    return file.data


def chunked(body: bytes, *, size: int = 7) -> bytes:
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def bare_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare_deflate),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
        ("gzip", bytes),
        ("br", bytes),
        ("deflate", bytes),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
        ("identity", bytes),
    ],
    ids=[
        *("gzip", "x-gzip", "zlib", "deflate", "br", "zstd", "gzip undone", "br undone"),
        *("deflate undone", "two", "identity"),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["whole", "chunked"])
def test_bodies_are_decoded_as_their_headers_say_or_taken_as_they_are(
    read: Any, coding: str, encode: Callable[[bytes], bytes], *, is_chunked: bool
) -> None:
    body = encode(PAGE.encode())
    headers = [("Content-Encoding", coding)]
    if is_chunked:
        body = chunked(body)
        headers.append(("Transfer-Encoding", "chunked"))
    reading = read(response(body, headers=tuple(headers)))
    assert reading.records == [Record(f"record 1 <{URI}>", TEXT)]


def test_chunks_that_the_crawler_undid_are_not_looked_for(read: Any) -> None:
    data = response(PAGE.encode(), headers=(("Transfer-Encoding", "chunked"),))
    assert read(data).texts == [TEXT]


def test_the_headers_charset_holds(read: Any) -> None:
    data = response(PAGE.encode("cp1250"), content_type="Text/HTML; Charset=windows-1250")
    assert read(data).texts == [TEXT]


@pytest.mark.parametrize(
    ("body", "options", "reason"),
    [
        (PAGE.encode(), {"status": "404 Not Found"}, "http_status"),
        (b"{}", {"content_type": "application/json"}, "not_html"),
        (b"\x89PNG" + bytes(100), {"content_type": "image/png"}, "not_html"),
        (os.urandom(1000), {"content_type": "text/html"}, "not_text"),
        (
            gzip.compress(bytes(2**24 + 1)),
            {"headers": (("Content-Encoding", "gzip"),)},
            "bad_http",
        ),
        (
            brotli.compress(bytes(2**25), quality=1),
            {"headers": (("Content-Encoding", "br"),)},
            "bad_http",
        ),
        (
            zlib.compress(bytes(2**25)),
            {"headers": (("Content-Encoding", "deflate"),)},
            "bad_http",
        ),
        (
            gzip.compress(PAGE.encode())[:-10],
            {"headers": (("Content-Encoding", "gzip"),)},
            "bad_http",
        ),
    ],
    ids=[
        *("status", "json", "image", "noise", "gzip bomb", "brotli bomb", "deflate bomb"),
        "cut off",
    ],
)
def test_responses_without_a_page_are_dropped_between_others(
    read: Any, body: bytes, options: dict[str, Any], reason: str
) -> None:
    file = WarcFile(compressed=True)
    file.response(URI, PAGE.encode())
    file.response(URI, body, **options)
    file.response(URI, PAGE.encode())
    reading = read(file.data)
    assert reading.texts == [TEXT, TEXT]
    assert reading.drops == [(f"record 2 <{URI}>", reason)]
    assert reading.records[1].num_bytes > 0


def test_plain_text_responses_are_texts(read: Any) -> None:
    assert read(response(b"Just words.", content_type="text/plain")).texts == ["Just words."]


def test_records_of_other_types_are_no_records(read: Any) -> None:
    file = WarcFile()
    file.info()
    for kind in ("request", "revisit", "metadata"):
        file.response(URI, b"", kind=kind)
    file.conversion(URI, b"words")
    assert read(file.data).records == [Record(f"record 5 <{URI}>", "words")]


def test_bad_bytes_are_reported_with_their_record(read: Any) -> None:
    file = WarcFile()
    file.conversion(URI, b"plenty of words before the caf\xe9")
    reading = read(file.data)
    assert reading.texts == ["plenty of words before the caf\ufffd"]
    assert reading.noticed == [BadBytes(f"record 1 <{URI}>", "undecodable", 1)]


def three() -> bytes:
    file = WarcFile()
    for number in range(3):
        file.conversion(f"{URI}{number}", b"words %d" % number)
    return file.data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Content-Length: 7", b"Content-Length: x"),
        (b"Content-Length: 7", b"Content-Length: -7"),
        (b"Content-Length: 7", b"Content-Length: 9999999999999999999999"),
        (b"Content-Length: 7", b"No-Length: 7"),
        (b"WARC/1.0", b"WORM/1.0"),
    ],
)
def test_a_damaged_header_costs_its_record_and_no_other(read: Any, old: bytes, new: bytes) -> None:
    data = three()
    second = data.index(b"WARC/1.0", 10)
    reading = read(data[:second] + data[second:].replace(old, new, 1))
    assert reading.texts == ["words 0", "words 2"]
    assert {reason for _, reason in reading.drops} == {"bad_record"}
    assert reading.num_consumed


def test_a_record_that_claims_too_little_loses_what_is_left_of_it(read: Any) -> None:
    reading = read(three().replace(b"Content-Length: 7", b"Content-Length: 3", 1))
    assert reading.texts == ["wor", "words 1", "words 2"]
    assert [reason for _, reason in reading.drops] == ["bad_record"]


def test_a_file_that_is_cut_off_loses_its_last_record(read: Any) -> None:
    reading = read(three()[:-8])
    assert reading.texts == ["words 0", "words 1"]
    assert [reason for _, reason in reading.drops] == ["bad_record"]


def test_a_record_that_is_too_long_is_passed_over(read: Any) -> None:
    file = WarcFile()
    file.conversion(URI, b"x" * (2**25 + 1))
    file.conversion(URI, b"words")
    reading = read(file.data)
    assert reading.texts == ["words"]
    assert reading.drops == [(f"record 1 <{URI}>", "record_too_long")]
    assert reading.records[0].num_bytes == 2**25 + 1


def test_endless_headers_are_a_bad_record(read: Any) -> None:
    data = b"WARC/1.0\r\n" + b"X: y\r\n" * 50_000 + three()
    assert read(data).texts == ["words 0", "words 1", "words 2"]


def test_an_address_is_a_label_safe_to_show(read: Any) -> None:
    file = WarcFile()
    file.conversion("http://example.org/" + "\u202e" + "x" * 5000, b"words")
    (record,) = read(file.data).records
    assert record.place.isprintable()
    assert len(record.place) < 300
