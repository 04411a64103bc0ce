"""HTML as nested calls, safe by construction: a plain string is text, and text is escaped.

::

    element("p", "5 < 6, said ", element("b", name), class_="aside")

Only what `element` and `joined` return counts as markup, so that no text of a user's ever does.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

_VOID: Final = frozenset({"br", "hr", "link", "meta"})
_CONTROL_PICTURES: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
_DIRECTION_MARKS: Final = dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�")
_SHOWN: Final = _CONTROL_PICTURES | _DIRECTION_MARKS


class Html(str):
    """Markup, as opposed to text."""

    __slots__ = ()


NOTHING: Final = Html("")


def element(name: str, /, *children: str, **attributes: str | float | None) -> Html:
    """``<name attribute="...">children</name>``.

    Args:
        name: Of the tag.
        children: Markup (`Html`), or text, which is escaped.
        attributes: ``class_`` is written ``class``, ``view_box`` stays as it is and other
            underscores become hyphens; None leaves an attribute out.
    """
    written = "".join(
        f' {_attribute_name(key)}="{escape(_number_or_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str]) -> Html:
    """One after the other; text is escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


def visible(text: str) -> str:
    """Text of a user's, with what would be invisible or turn the line around made visible.

    Control characters become their pictures (U+2400 on); marks that change the direction of
    everything after them, a known way to disguise a name, become U+FFFD.
    """
    return text.translate(_SHOWN)


def _attribute_name(keyword: str) -> str:
    if keyword == "view_box":
        return "viewBox"
    return keyword.rstrip("_").replace("_", "-")


def _number_or_text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{round(value, 2):g}"
