"""Where the words of packed windows begin: the places at which text may be cut.

Shape suffixes: W windows, R tokens of a window. Places count through all windows of an array, row
after row: place ``p`` is token ``p % R`` of window ``p // R``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpora.vocabulary import END_OF_TEXT, PAD, Vocabulary


def segment_starts(tokens_WR: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places where a window or a document in it begins, ascending."""
    begins_WR = tokens_WR == END_OF_TEXT
    begins_WR[:, 0] = True
    return np.flatnonzero(begins_WR)


def text_ends(tokens_WR: NDArray[np.int64]) -> NDArray[np.int64]:
    """Behind the last token of text of each window, its number within the window, [W]."""
    is_text_WR = (tokens_WR != PAD) & (tokens_WR != END_OF_TEXT)
    ends_W = tokens_WR.shape[1] - np.argmax(is_text_WR[:, ::-1], axis=1)
    return np.where(is_text_WR.any(axis=1), ends_W, 0)


def word_starts(
    tokens_WR: NDArray[np.int64], segments: NDArray[np.int64], vocabulary: Vocabulary
) -> NDArray[np.int64]:
    """The places where a word begins, but for the first word of each segment, ascending.

    What stands before the first word, or between two words, belongs to the word before it, if any:
    so a piece from one of these places, or from a segment's beginning, to the next one holds a
    word wherever there is any.
    """
    begins_WR = vocabulary.begins_with_word_byte[tokens_WR]
    begins_WR[:, 1:] &= vocabulary.ends_with_word_byte[tokens_WR[:, :-1]]
    begins_WR[:, 0] = False
    starts = np.flatnonzero(vocabulary.holds_word_byte[tokens_WR] & ~begins_WR)
    firsts = np.searchsorted(starts, segments)
    is_first = np.zeros(len(starts) + 1, dtype=np.bool_)
    is_first[firsts] = True
    return starts[~is_first[:-1]]
