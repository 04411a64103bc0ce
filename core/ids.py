"""Ids: a typed prefix and 26 characters that sort by time of creation.

The 26 characters are a ULID (https://github.com/ulid/spec) in lower case: 48 bits of milliseconds,
80 random bits, Crockford's base 32. Within one process ids are strictly increasing.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from typing import Literal

Prefix = Literal[
    "file", "corpus", "tokenizer", "dataset", "job", "attempt", "ckpt", "event", "work", "blob",
    "project", "req", "piece", "upload", "part", "reservation", "probe",
]  # fmt: skip

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_LENGTH = 26


class _MonotonicUlids:
    """ULIDs that never go backwards, even if the clock does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """The next ULID as an integer of 128 bits."""
        fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            self._last = fresh if fresh > self._last else self._last + 1
            return self._last


_ulids = _MonotonicUlids()


def is_id(text: str, *, prefix: Prefix) -> bool:
    """Whether ``text`` could be an id with this prefix, of something that may no longer exist."""
    return re.fullmatch(f"{prefix}_[{_ALPHABET}]{{{_LENGTH}}}", text) is not None


def new_id(prefix: Prefix) -> str:
    """A new id such as ``job_01kaf3v9c2...``; later ids of one process compare greater."""
    value = _ulids.next()
    digits = [_ALPHABET[(value >> (5 * place)) & 31] for place in range(_LENGTH)]
    return f"{prefix}_{''.join(reversed(digits))}"
