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
    tokens_WR: NDArray[np.int64],
    segments: NDArray[np.int64],
    vocabulary: Vocabulary,
    *,
    longest: int,
) -> NDArray[np.int64]:
    """The places where a segment begins, or a word that is not its first, ascending.

    What stands before the first word belongs to it, and what stands between two words to the one
    before: so a piece from one of these places to the next one holds a word wherever there is any.
    A piece of more than ``longest`` tokens is broken into characters.
    """
    begins_WR = vocabulary.begins_with_word_byte[tokens_WR]
    begins_WR[:, 1:] &= vocabulary.ends_with_word_byte[tokens_WR[:, :-1]]
    begins_WR[:, 0] = False
    starts = np.flatnonzero(vocabulary.holds_word_byte[tokens_WR] & ~begins_WR)
    firsts = np.searchsorted(starts, segments)
    is_first = np.zeros(len(starts) + 1, dtype=np.bool_)
    is_first[firsts] = True
    is_start_WR = np.zeros(tokens_WR.shape, dtype=np.bool_)
    is_start_WR.ravel()[starts[~is_first[:-1]]] = True
    is_start_WR.ravel()[segments] = True
    break_long_words(is_start_WR, tokens_WR, vocabulary, longest=np.int64(longest))
    return np.flatnonzero(is_start_WR)


def break_long_words(
    is_start_WR: NDArray[np.bool_],
    tokens_WR: NDArray[np.int64],
    vocabulary: Vocabulary,
    *,
    longest: NDArray[np.int64] | np.int64,
) -> None:
    """Let every character of a word that is too long be a word, as in scripts without spaces.

    Args:
        is_start_WR: where words begin, each window's first token among them; changed in place.
        tokens_WR: the windows.
        vocabulary: of their tokenizer.
        longest: the tokens of a word that is not yet too long, of all windows or of each, [W].
    """
    starts = np.flatnonzero(is_start_WR)
    lengths = np.diff(starts, append=is_start_WR.size)
    if lengths.max() <= longest.min():
        return  # at a tenth of the cost of asking each word
    is_long = lengths > np.broadcast_to(longest, len(tokens_WR))[starts // tokens_WR.shape[1]]
    if not is_long.any():
        return
    begins_WR = ~(vocabulary.continues_character | vocabulary.is_special)[tokens_WR]
    # a mark before the text stays with its first character
    begins_WR[:, 1:] &= ~vocabulary.is_special[tokens_WR[:, :-1]]
    is_start_WR |= np.repeat(is_long, lengths).reshape(tokens_WR.shape) & begins_WR
