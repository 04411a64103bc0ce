"""Whether whoever asks is a person at a browser or a program (RFC 9110 section 12.5.1)."""

from __future__ import annotations

from typing import Final

_PAGE: Final = "text/html"
_DATA: Final = "application/json"


def wants_page(accept: str | None) -> bool:
    """Whether an ``Accept`` header names HTML and ranks it no lower than JSON.

    Browsers do; programs send ``*/*``, ``application/json`` or nothing, and get JSON.
    """
    qualities = dict(map(_range_and_quality, (accept or "").split(",")))
    wanted = qualities.get(_PAGE, 0.0)
    return wanted > 0 and wanted >= qualities.get(_DATA, 0.0)


def _range_and_quality(entry: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    try:
        return media_range, float(quality)
    except ValueError:
        return media_range, 0.0
