"""When two documents count as equal: by their words, blind to case and layout."""

from __future__ import annotations

import xxhash

Fingerprint = tuple[int, int]
"""Both halves of 128 bits, the high one first."""

_LOW_BITS = 2**64 - 1


def fold(text: str) -> bytes:
    """The words of ``text`` in one case with one space between them, as UTF-8."""
    return " ".join(text.casefold().split()).encode()


def fingerprint(text: str) -> Fingerprint:
    """The xxh3-128 of the folded text."""
    return fingerprint_of_folded(fold(text))


def fingerprint_of_folded(folded: bytes) -> Fingerprint:
    """The same of a text that is folded already."""
    whole = xxhash.xxh3_128_intdigest(folded)
    return whole >> 64, whole & _LOW_BITS


def as_hexadecimal(fingerprint: Fingerprint) -> str:
    """A fingerprint as text."""
    high, low = fingerprint
    return f"{high:016x}{low:016x}"


def as_fingerprint(hexadecimal: str) -> Fingerprint:
    """What :func:`as_hexadecimal` wrote."""
    whole = int(hexadecimal, 16)
    return whole >> 64, whole & _LOW_BITS
