"""The main text of a web page: headings, paragraphs, lists and tables, without what is around it.

By Resiliparse (https://resiliparse.chatnoir.eu), whose rules follow those of Trafilatura. Its
parser is C, its time grows with the square of how deep elements nest: hostile pages can crash or
stall it, so that it runs in ``corpora.readers.html_process`` and nowhere else.
"""

from __future__ import annotations

from resiliparse.extract.html2text import extract_plain_text


def main_text(html: str) -> str:
    """What a reader of the page came for; all its visible text where no part of it stands out."""
    text = extract_plain_text(html, main_content=True, preserve_formatting=True, alt_texts=False)
    if not text or text.isspace():
        text = extract_plain_text(html, preserve_formatting=True, alt_texts=False)
    return text
