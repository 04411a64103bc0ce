"""Which files are read together: the pieces of work that a corpus is read in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BYTES_PER_PIECE: Final = 64_000_000
FILES_PER_PIECE: Final = 2_000
"""However small they are: each costs a look-up and an opening, and a kill costs a whole piece."""


@dataclass(frozen=True, slots=True)
class SourceSize:
    """A file as far as planning needs to know it; ``num_bytes`` as it is stored."""

    id: str
    filename: str
    sha256: str
    num_bytes: int


def plan_pieces(
    files: Sequence[SourceSize], *, bytes_per_piece: int = BYTES_PER_PIECE
) -> list[list[str]]:
    """Part files into pieces that can be read apart from each other; answers their ids.

    Pieces put one after another are the files in canonical order: by digest, then by name. So the
    order in which files were named changes nothing. Each piece is about ``bytes_per_piece`` long,
    or ``FILES_PER_PIECE`` files; a file is never cut, and one that is longer is a piece of its own.
    """
    planned: list[list[str]] = []
    num_bytes = 0
    for file in sorted(files, key=lambda file: (file.sha256, file.filename)):
        is_full = not planned or len(planned[-1]) == FILES_PER_PIECE
        if is_full or num_bytes + file.num_bytes > bytes_per_piece:
            planned.append([])
            num_bytes = 0
        planned[-1].append(file.id)
        num_bytes += file.num_bytes
    return planned
