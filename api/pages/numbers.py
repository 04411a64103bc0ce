"""Numbers as people read them."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000
_SMALLEST_SHARE: Final = 0.001


def count(number: int) -> str:
    """``1,234,567``."""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 file``, ``2 files``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def size(num_bytes: int) -> str:
    """``999 B``, ``1.23 kB``, ``45.6 MB``: three digits, decimal units."""
    if num_bytes < _THOUSAND:
        return f"{num_bytes} B"
    amount, unit = num_bytes / _THOUSAND, 1
    while round(amount) >= _THOUSAND and unit < len(_UNITS) - 1:
        amount /= _THOUSAND
        unit += 1
    digits = next((digits for digits in (2, 1) if round(amount, digits) < 10 ** (3 - digits)), 0)
    return f"{amount:.{digits}f} {_UNITS[unit]}"


def share(part: int, whole: int) -> str:
    """``12.3 %``; what is there is never shown as nothing, nor what is missing as everything."""
    if not whole or not part:
        return "0 %"
    if part == whole:
        return "100 %"
    ratio = part / whole
    if ratio < _SMALLEST_SHARE:
        return "< 0.1 %"
    if 1 - _SMALLEST_SHARE < ratio < 1:
        return "> 99.9 %"
    return f"{ratio:.1%}".replace("%", " %")


def signed(number: int) -> str:
    """With a plus or a minus sign, unless it is zero."""
    sign = "+" if number > 0 else "\N{MINUS SIGN}" if number < 0 else ""
    return f"{sign}{abs(number):,}"
