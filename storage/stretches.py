"""Bytes that are put together when they are read: of several keys, and of nobody's key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from storage.base import Store


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some of the bytes: literal ones, or those of a key."""

    num_bytes: int
    literal: bytes | None = None
    key: str = ""


def read_stretches(
    store: Store, stretches: Iterable[Stretch], *, start: int, end: int
) -> Iterator[bytes]:
    """The bytes from ``start`` up to, not including, ``end`` of the stretches put together.

    Raises:
        NotFound: a key that is needed is not there.
    """
    offset = 0
    for stretch in stretches:
        first, last = max(start - offset, 0), min(end - offset, stretch.num_bytes)
        if first < last:
            if stretch.literal is not None:
                yield stretch.literal[first:last]
            else:
                yield from store.open(stretch.key, start=first, end=last)
        offset += stretch.num_bytes
