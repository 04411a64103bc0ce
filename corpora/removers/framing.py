"""Windows as an encoder reads them: `[CLS]` ... `[SEP]` ... `[SEP]`.

A sentence that a tokenizer wraps into `[CLS]` ... `[SEP]` then looks like what the model was
trained on.

Shape suffixes: W windows, T context length and tokens read for a window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corpora.vocabulary import CLS, END_OF_TEXT, PAD, SEP


def framed(tokens_WT: NDArray[np.int64]) -> NDArray[np.int64]:
    """The windows with `[CLS]` and `[SEP]` for their ends, and `[SEP]` between documents."""
    framed_WT = between_documents(tokens_WT)
    framed_WT[:, 0] = CLS
    # a window that is filled up ends with the `<|endoftext|>` behind the split
    framed_WT[:, -1][framed_WT[:, -1] != PAD] = SEP
    return framed_WT


def between_documents(tokens_WT: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tokens with `[SEP]` in place of each `<|endoftext|>`."""
    return np.where(tokens_WT == END_OF_TEXT, SEP, tokens_WT)
