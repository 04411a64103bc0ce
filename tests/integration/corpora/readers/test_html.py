from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.corpus_options import CorpusOptions
from corpora.readers.children import Children
from corpora.readers.extractor import HtmlExtractor
from corpora.readers.record import MAX_HTML_BYTES, Dropped, Record
from corpora.readers.source import SourceFile, read_records
from corpora.sandbox import SandboxLimits

PAGE = """<!doctype html>
<html><head><title>Title</title><style>p { color: red }</style></head><body>
<nav><a href=/>Home</a> <a href=/about>About us</a></nav>
<main><h1>The heading</h1>
<p>The first   paragraph,
with a <a href=x>link</a> and <b>bold</b> words.</p>
<ul><li>One</li><li>Two</li></ul>
<pre>  kept
    as it is</pre>
<script>alert("no")</script>
</main><footer>Copyright</footer></body></html>"""


def test_the_main_text_is_kept_and_what_is_around_it_is_not(read: Any) -> None:
    (record,) = read(PAGE.encode()).records
    assert record.place == "whole file"
    lines = [line.strip() for line in record.text.splitlines() if line.strip()]
    assert lines[:4] == [
        "The heading",
        "The first paragraph, with a link and bold words.",
        "One",
        "Two",
    ]
    assert "  kept\n    as it is" in record.text
    for foreign in ("Home", "alert", "Copyright", "color", "<"):
        assert foreign not in record.text


def test_lists_of_links_are_left_out_and_lists_of_prose_kept(read: Any) -> None:
    links = "<ul><li><a href=x>Other page</a></li><li><a href=y>One more</a></li></ul>"
    prose = "<UL class=a><li>One, see <a href=x>there</a><ul><li>Inner one</li></ul></li></UL>"
    (text,) = read(f"<html><body><p>Words.</p>{links}{prose}<p>Last.</p>".encode()).texts
    assert [line.strip() for line in text.splitlines() if line.strip()] == [
        "Words.",
        "One, see there",
        "Inner one",
        "Last.",
    ]


def test_a_name_of_megabytes_takes_no_longer_than_its_bytes() -> None:
    with HtmlExtractor(limits=SandboxLimits(cpu_seconds=3)) as extractor:
        text = extractor.main_text("<html><ul><p>Words.</p><" + "a" * 2**21)
    assert text is not None
    assert text.strip() == "Words."


def test_a_page_without_a_main_part_gives_all_it_shows(read: Any) -> None:
    page = b"<html><body><nav>Only a menu</nav><script>no</script></body></html>"
    assert read(page).texts == ["Only a menu"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_pages_with_a_mark_are_read(read: Any, encoding: str) -> None:
    page = "<!doctype html><p>Žluťoučký kůň 🐎"
    assert read(page.encode(encoding)).texts == ["Žluťoučký kůň 🐎"]


def test_a_page_that_is_too_long_is_dropped_with_its_length(read: Any) -> None:
    page = b"<!doctype html><p>" + b"word " * (MAX_HTML_BYTES // 5)
    reading = read(page)
    assert reading.drops == [("whole file", "html_too_long")]
    assert reading.records[0].num_bytes == len(page)
    assert reading.num_consumed == len(page)


def test_what_is_no_text_is_no_page(read: Any) -> None:
    reading = read(bytes(range(256)) * 100, file_format="html")
    assert reading.drops == [("whole file", "not_text")]


def test_lone_surrogates_and_nul_in_references_do_no_harm(read: Any) -> None:
    (text,) = read(b"<html><p>a &#xD800; b &#0; c &#x110000; d").texts
    assert text.encode()
    assert text.startswith("a ")


def test_a_page_that_stalls_the_parser_is_dropped_and_the_next_is_read(tmp_path: Path) -> None:
    deep = b"<html>" + b"<div>" * 100_000 + b"deep"
    found: list[Record | Dropped] = []
    with Children(pages=HtmlExtractor(limits=SandboxLimits(cpu_seconds=1))) as children:
        for page in (deep, b"<html><p>The next page."):
            stored = tmp_path / "stored"
            stored.write_bytes(page)
            file = SourceFile(stored, filename="a.html", sha256="0" * 64, id="file_1")
            found += read_records(
                file, options=CorpusOptions(), notice=lambda _: None, children=children
            )
    stalled, following = found
    assert isinstance(stalled, Dropped)
    assert (stalled.reason, stalled.num_bytes) == ("extraction_failed", len(deep))
    assert following == Record("whole file", "The next page.")
