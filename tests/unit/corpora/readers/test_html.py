from __future__ import annotations

import pytest

from corpora.readers.html import decode_html, is_html
from corpora.readers.record import BadBytes

WORDS = "Příliš žluťoučký"


@pytest.mark.parametrize(
    "head",
    [
        b"<!doctype html><p>",
        b"<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>",
        b"  \r\n<html lang=de>",
        b"<HTML>",
        b"<!-- saved -->\n<!-- twice --><!DOCTYPE html>",
        b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC ''>",
        b"<head><title>",
        b"\xef\xbb\xbf<!doctype html>",
        "\ufeff<!doctype html>".encode("utf-16-le"),
        "\ufeff<html>".encode("utf-16-be"),
    ],
)
def test_pages_are_known_by_how_they_begin(head: bytes) -> None:
    assert is_html(head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"text about <html> elements",
        b"<p align=center>the beginning of many a README</p>",
        b"<!-- a comment --> # Markdown",
        b"<htmlx>",
        b"<?xml version='1.0'?><svg>",
        b"<" * 5000,
        b"<!--" * 5000,
        b"<!---->" * 500 + b"text",
    ],
)
def test_other_texts_are_not_taken_for_pages(head: bytes) -> None:
    assert not is_html(head)


def decoded(page: bytes, declared: str | None = None) -> tuple[str, list[BadBytes]]:
    noticed: list[BadBytes] = []
    return decode_html(page, place="whole file", notice=noticed.append, declared=declared), noticed


@pytest.mark.parametrize(
    ("meta", "encoding"),
    [
        ("", "utf-8"),
        ('<meta charset="windows-1250">', "cp1250"),
        ("<meta charset=ISO-8859-2 >", "iso8859-2"),
        (
            '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">',
            "iso8859-2",
        ),
        ("<meta charset=utf-16>", "utf-8"),
        ("<meta charset=nonsense>", "utf-8"),
        ("<meta charset=zlib_codec>", "utf-8"),
        ("<meta charset=unicode_escape>", "utf-8"),
    ],
)
def test_a_page_says_itself_how_it_is_encoded(meta: str, encoding: str) -> None:
    page = f"<!doctype html>{meta}<p>{WORDS}"
    assert decoded(page.encode(encoding)) == (page, [])


def test_a_mark_beats_http_and_http_beats_the_page() -> None:
    page = f"<meta charset=koi8-r><p>{WORDS}"
    assert decoded(page.encode("cp1250"), declared="windows-1250")[0] == page
    assert decoded(page.encode("utf-8-sig"), declared="windows-1250")[0] == page
    assert decoded(("\ufeff" + page).encode("utf-16-be"), declared="windows-1250")[0] == page


def test_latin_1_means_what_browsers_take_it_for() -> None:
    assert decoded(b"<meta charset=iso-8859-1>\x93quoted\x94")[0].endswith("“quoted”")


def test_undecodable_bytes_are_replaced_and_reported_with_their_line() -> None:
    html, noticed = decoded(b"<html>\n<p>caf\xe9</p>")
    assert html == "<html>\n<p>caf\ufffd</p>"
    assert noticed == [BadBytes("line 2, byte 13", "undecodable", 1)]
    html, noticed = decoded(b"<meta charset=shift_jis>\n<p>\x81 \xff")
    assert noticed[0].place == "line 2"
