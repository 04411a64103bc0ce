"""`gigatoken`: byte-level BPE at hundreds of megabytes a second (github.com/marcelroed/gigatoken).

It splits text with vector instructions instead of a regular expression, and remembers the tokens of
words it has seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Final

import numpy as np
from gigatoken.gigatoken_rs import load_hf_json
from numpy.typing import NDArray

from corpora.encoders.base import Ids, in_pieces

_PANIC: Final = "PanicException"


class EngineFailed(Exception):
    """The engine cannot do what was asked of it; another can."""


class GigatokenEncoder:
    """Encodes tokenizers whose split pattern the library knows."""

    engine: Final = "gigatoken"

    def __init__(self, tokenizer_json: bytes) -> None:
        """Load a tokenizer.

        Raises:
            EngineFailed: it is of a kind that the library does not know.
        """
        with _Failures():
            self._tokenizer = load_hf_json(_without_special_tokens(tokenizer_json))

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text.

        Raises:
            EngineFailed: an error within the library.
        """
        return in_pieces(texts, self._encode)

    def encode_joined(self, texts: list[str]) -> tuple[Ids, NDArray[np.int64]]:
        """The ids of all texts one after another, uncut, and where those of each begin and end.

        Raises:
            EngineFailed: an error within the library.
        """
        with _Failures():
            rows = self._tokenizer.encode_batch(texts, parallel=len(texts) > 1).layout
        return np.asarray(rows.content.data), np.asarray(rows.offsets.data)

    def _encode(self, parts: list[str]) -> Iterator[Ids]:
        ids, borders = self.encode_joined(parts)
        for start, end in pairwise(borders.tolist()):
            yield ids[start:end]


class _Failures:
    """Names what goes wrong in the library, its panics too, which are no ``Exception``."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) or (kind is not None and kind.__name__ == _PANIC):
            raise EngineFailed(f"gigatoken: {error}") from error


def _without_special_tokens(tokenizer_json: bytes) -> str:
    """A tokenizer to which special tokens in a text are just characters."""
    description = json.loads(tokenizer_json)
    description["added_tokens"] = [
        token for token in description["added_tokens"] if not token["special"]
    ]
    return json.dumps(description)
