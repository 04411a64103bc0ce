"""E-mail and IP addresses, replaced in texts by fixed placeholders.

The placeholders are those of Dolma (arXiv 2402.00159), which no one takes for an address, so
that they can be found, counted and taken out of what a model writes. As in FineWeb (arXiv
2406.17557), IP addresses are replaced only if they are public: ``127.0.0.1`` and ``192.168.0.1``
are nobody's. A version number of four parts looks like an address, and is replaced too.
"""

from __future__ import annotations

import ipaddress
import re
import string
from collections.abc import Callable, Iterable
from typing import Final

from core.cleaning_options import Removal

EMAIL_PLACEHOLDER: Final = "|||EMAIL_ADDRESS|||"
IP_PLACEHOLDER: Final = "|||IP_ADDRESS|||"

_LETTERS_AND_DIGITS: Final = string.ascii_letters + string.digits
_LOCAL_CHARACTERS: Final = _LETTERS_AND_DIGITS + "._%+-"
_LONGEST_LOCAL: Final = 64
_LONGEST_DOMAIN: Final = 253
"""Both of RFC 5321; the window of :func:`_emails` keeps the search linear for any text."""
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}(?![A-Za-z0-9])"
)
# they begin with a set of characters, which is found many times faster than a look behind
_IPV4 = re.compile(r"[0-9](?<![\w.].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.\w)")
_IPV6 = re.compile(r"[23](?<![\w:.].)[0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?![\w:])")
"""Of 2000::/3, where all public ones are (RFC 4291): much else has colons."""

Span = tuple[int, int]


def redact(text: str, removals: Iterable[Removal]) -> tuple[str, dict[str, int]]:
    """A text without addresses of the kinds asked for, and how many of each were replaced."""
    counts: dict[str, int] = {}
    for removal in removals:
        find, placeholder = _KINDS[removal]
        spans = find(text)
        if spans:
            counts[removal] = len(spans)
            text = _replaced(text, spans, placeholder)
    return text, counts


def _replaced(text: str, spans: list[Span], placeholder: str) -> str:
    parts: list[str] = []
    done = 0
    for start, end in spans:
        parts += (text[done:start], placeholder)
        done = end
    return "".join((*parts, text[done:]))


def _emails(text: str) -> list[Span]:
    """Where e-mail addresses stand: found from their @ on, since nearly no text has one."""
    spans: list[Span] = []
    done = 0
    at = text.find("@")
    while at >= 0:
        before = text[max(done, at - _LONGEST_LOCAL - 1) : at]
        local = before[len(before.rstrip(_LOCAL_CHARACTERS)) :].lstrip("._%+-")
        domain = _DOMAIN.match(text, at + 1, at + 2 + _LONGEST_DOMAIN)
        if domain and local and len(local) <= _LONGEST_LOCAL and not local.endswith("."):
            done = domain.end()
            spans.append((at - len(local), done))
        at = text.find("@", max(done, at + 1))
    return spans


def _ips(text: str) -> list[Span]:
    """Where public IP addresses stand."""
    found = [*_IPV4.finditer(text)]
    if ":" in text:
        found += _IPV6.finditer(text)
    spans = ((*match.span(), match.group()) for match in found)
    return sorted((start, end) for start, end, address in spans if _is_public(address))


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


_KINDS: Final[dict[Removal, tuple[Callable[[str], list[Span]], str]]] = {
    "email": (_emails, EMAIL_PLACEHOLDER),
    "ip": (_ips, IP_PLACEHOLDER),
}
