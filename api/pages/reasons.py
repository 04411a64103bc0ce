"""Why a record was dropped, in words: the reasons of the readers, and the filters of cleaning."""

from __future__ import annotations

from functools import cache
from typing import Final

from core.quality_filters import list_filters

_READERS: Final = {
    "bad_http": "The answer that was crawled has no readable HTTP headers.",
    "bad_json": "The line is no JSON object.",
    "bad_record": "The record of the web archive is damaged.",
    "decompression_bomb": "Unpacked, it is far larger than it could honestly be.",
    "empty": "Nothing is there but white space.",
    "encrypted": "The member of the archive needs a password.",
    "extraction_failed": "No text could be taken out of the page.",
    "file_damaged": "The member of the archive cannot be unpacked.",
    "html_too_long": "The page is longer than a record may be.",
    "http_status": "What was crawled is the answer of a server that had no page to give.",
    "line_too_long": "The line is longer than a record may be.",
    "link": "The member of the archive is a link to something else.",
    "nested_too_deep": "It is an archive in an archive in an archive.",
    "no_text_field": "The record has no such field as the corpus's text_field.",
    "not_html": "What was crawled is no page: a picture, a style sheet, data.",
    "not_text": "What is here is binary data, no text.",
    "not_utf8": "What is here looks like text, but of neither UTF-8 nor UTF-16 with its mark: "
    "convert it, for example with iconv -f LATIN1 -t UTF-8, and upload it again.",
    "office_document": "A document of Word, LibreOffice or their like: save it as text or as a web "
    "page, and upload that.",
    "record_too_long": "The record is longer than a record may be.",
    "row_too_long": "The row is longer than a record may be.",
    "special_file": "The member of the archive is a device or a pipe, no file.",
    "text_is_no_string": "The field that should hold the text holds something else.",
    "too_many_fields": "The row has more fields than the header has names.",
    "unclosed_quote": "A quotation mark is opened and never closed.",
    "unsafe_name": "The member's name would lead out of the archive.",
    "unsupported_compression": "The member is compressed in a way that is not read here.",
}
_FALLBACK: Final = "The text was dropped for this reason."


def name_of(code: str) -> str:
    """``no_text_field`` as ``No text field``."""
    return code.replace("_", " ").capitalize()


def meaning_of(code: str) -> str:
    """One sentence or two about a reason."""
    return _READERS.get(code) or _filters().get(code, _FALLBACK)


@cache
def _filters() -> dict[str, str]:
    return {rule.name: f"{rule.description} {rule.source}." for rule in list_filters()}
