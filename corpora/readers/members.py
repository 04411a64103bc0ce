"""A member of an archive, whatever the archive is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from corpora.readers.origin import Origin
from corpora.readers.record import DropReason

_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive.

    Attributes:
        name: a label, never a path to write to.
        num_bytes: as it is stored.
        open: its bytes, decompressed if it is the archive that compresses. Given the member's
            origin, which counts them and which errors of its own name; called at most once, before
            the next member is asked for.
        refusal: why it is not read, if it is not.
    """

    name: str
    num_bytes: int
    open: Callable[[Origin], Iterator[bytes]]
    refusal: DropReason | None = None


def refusal_of_name(name: str) -> DropReason | None:
    """Refuse names that would lead out of a folder, though nothing is written by them.

    Such an archive was made to do harm; its texts are not what they seem.
    """
    parts = name.replace("\\", "/").split("/")
    is_absolute = parts[0] == "" or _DRIVE.match(name) is not None
    return "unsafe_name" if is_absolute or ".." in parts or "\0" in name else None
