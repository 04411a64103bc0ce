"""What every engine does, and the types they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from corpora.pieces import pieces

Ids = NDArray[np.uint32]
"""Token ids of one text, uint32 [num_tokens]."""


class Encoder(Protocol):
    """Text to token ids, without any that a post-processor would add."""

    @property
    def engine(self) -> str:
        """The name of the library that does the work."""

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text; on every core where there are several.

        What looks like a special token is just characters.
        """


def in_pieces(texts: Sequence[str], encode: Callable[[list[str]], Iterator[Ids]]) -> list[Ids]:
    """Encode long texts piece by piece, so that every engine sees the same, and join their ids.

    Args:
        texts: the texts.
        encode: gives the ids of each piece, in their order.
    """
    of_texts = [list(pieces(text)) for text in texts]
    encoded = encode(list(chain.from_iterable(of_texts)))
    return [_joined([next(encoded) for _ in of_text]) for of_text in of_texts]


def _joined(parts: list[Ids]) -> Ids:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.empty(0, dtype=np.uint32), *parts])
