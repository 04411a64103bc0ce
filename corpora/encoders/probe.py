"""A tokenizer that shows how an engine splits text, whatever vocabulary the corpus's own has.

Two engines may know different versions of Unicode, and take a new character for a letter or for
none. With the corpus's vocabulary that shows only where it has a token for what is joined; this one
has a token for every byte joined to each of a few telling characters.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Final

from corpora.vocabulary import byte_alphabet

_TELLING: Final = b"a. \n1'"
_SURROGATE: Final = "Cs"
_UNASSIGNED: Final = "Cn"


def probe_tokenizer(tokenizer_json: bytes) -> bytes:
    """A tokenizer that splits as this one does, and joins whatever was not split."""
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    merges: dict[tuple[str, str], None] = {}
    for telling in _TELLING:
        for byte in range(256):
            merges[letters[byte], letters[telling]] = None
            merges[letters[telling], letters[byte]] = None
    tokens = [*letters.values(), *(left + right for left, right in merges)]
    description = json.loads(tokenizer_json)
    description["added_tokens"] = []
    description["post_processor"] = None
    description["model"] = {
        "type": "BPE",
        "vocab": {token: id_ for id_, token in enumerate(tokens)},
        "merges": list(merges),
    }
    return json.dumps(description).encode()


def probes(codes: Iterable[int]) -> Iterator[str]:
    """Texts that show the classes of characters."""
    for code in codes:
        character = chr(code)
        yield from (
            f"{character}a", f"a{character}", f"{character}.", f".{character}", f" {character}",
            f"{character}\n", f"{character}{character}a", f"{character} .", f"1{character}1",
            f"'{character}a",
        )  # fmt: skip


@cache
def borders_of_categories() -> tuple[int, ...]:
    """The characters beside which Unicode's general category changes."""
    categories = list(map(unicodedata.category, map(chr, range(sys.maxunicode + 1))))
    beside = {
        code
        for border, (before, after) in enumerate(pairwise(categories), 1)
        if before != after
        for code in (border - 1, border)
        if categories[code] != _SURROGATE
    }
    return tuple(sorted(beside))


class KnownCharacters:
    """Tells texts apart that hold characters which Python's version of Unicode does not know.

    Engines agree on what that version has; on what came later, each is as new as it is.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()

    def make_up(self, text: str) -> bool:
        """Whether every character of ``text`` is assigned."""
        if text.isascii():
            return True
        new = set(text) - self._known
        if any(unicodedata.category(character) == _UNASSIGNED for character in new):
            return False
        self._known |= new
        return True
