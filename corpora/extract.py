"""The main text of a web page: headings, paragraphs, lists and tables, without what is around it.

By Resiliparse (https://resiliparse.chatnoir.eu), whose rules follow those of Trafilatura. Its
parser is native code, and its time grows with the square of how deep elements nest: hostile pages
can stall it, so that it runs in ``corpora.readers.html_process`` and nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from resiliparse.extract.html2text import extract_plain_text

# never taken back: a name of megabytes must not be tried at every length
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*+)[^<>]*+>", re.IGNORECASE)


def main_text(html: str) -> str:
    """What a reader of the page came for; all its visible text where no part of it stands out."""
    text = _extract(_with_lists_of_prose(html), main_content=True)
    return text if text and not text.isspace() else _extract(html, main_content=False)


def _extract(html: str, *, main_content: bool) -> str:
    return extract_plain_text(
        html,
        main_content=main_content,
        preserve_formatting=True,
        alt_texts=False,
        list_bullets=False,  # those of the lists below would all be numbers
    )


@dataclass(frozen=True, slots=True)
class _OpenList:
    span: tuple[int, int]
    """Of its tag's name."""
    num_characters: int
    num_linked: int


def _with_lists_of_prose(html: str) -> str:
    """The page with every ``ul`` turned into an ``ol`` whose text is mostly not in links.

    Resiliparse 2.0 takes each ``ul`` of a page for navigation and no ``ol``.
    """
    if "<ul" not in html and "<UL" not in html:
        return html
    renamed: list[tuple[int, int]] = []
    open_lists: list[_OpenList] = []
    num_characters = num_linked = position = 0
    is_link = False
    for tag in _TAG.finditer(html):
        num_shown = len(html[position : tag.start()].strip())
        num_characters += num_shown
        num_linked += num_shown if is_link else 0
        position = tag.end()
        is_end, name = bool(tag[1]), tag[2].lower()
        if name == "a":
            is_link = not is_end
        elif name == "ul" and not is_end:
            open_lists.append(_OpenList(tag.span(2), num_characters, num_linked))
        elif name == "ul" and open_lists:
            begun = open_lists.pop()
            if 2 * (num_linked - begun.num_linked) < num_characters - begun.num_characters:
                renamed += [begun.span, tag.span(2)]
    return _with_names(html, sorted(renamed), "ol")


def _with_names(html: str, spans: list[tuple[int, int]], name: str) -> str:
    parts = []
    position = 0
    for start, end in spans:
        parts += [html[position:start], name]
        position = end
    return "".join((*parts, html[position:]))
