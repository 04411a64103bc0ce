from __future__ import annotations

import pytest

from api.pages.negotiation import wants_page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "application/json, TEXT/HTML"])
def test_browsers_get_the_page(accept: str) -> None:
    assert wants_page(accept)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "",
        "*/*",
        "application/json",
        "application/json, text/html;q=0.5",
        "text/html;q=0",
        "text/html;q=oops",
    ],
)
def test_programs_get_json(accept: str | None) -> None:
    assert not wants_page(accept)
