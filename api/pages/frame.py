"""The frame around a page: its head, its style, and what a browser may do with it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from api.pages.html import Html, element, visible


def framed(title: str, *content: Html) -> str:
    """A whole page of ``content``."""
    return "<!doctype html>\n" + element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", visible(title)),
            element("style", Html(_style())),
        ),
        element("body", element("main", *content)),
        lang="en",
    )


def page_headers() -> dict[str, str]:
    """What a browser may do with a page: show it, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


@cache
def _style() -> str:
    return (files(__package__) / "style.css").read_text("utf-8")
