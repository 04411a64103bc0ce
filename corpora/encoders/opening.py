"""Choosing the engine for a corpus and a tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from corpora.encoders.base import Encoder, Ids
from corpora.encoders.gigatoken import EngineFailed, GigatokenEncoder
from corpora.encoders.reference import ReferenceEncoder
from corpora.encoders.trials import trial_texts

TEST_CHARACTERS: Final = 2_000_000
"""Text of the corpus on which a fast engine has to agree with `tokenizers`."""
WORTHWHILE_CHARACTERS: Final = 5_000_000
"""Less is encoded by `tokenizers` about as soon as a fast engine would be tested."""

_log = logging.getLogger(__name__)


def open_encoder(tokenizer_json: bytes, sample: Iterable[str]) -> Encoder:
    """The fastest engine that gives the ids of `tokenizers` on this corpus.

    The choice changes no id, so the bytes of a dataset do not depend on it.

    Args:
        tokenizer_json: the tokenizer.
        sample: texts of the corpus; the first 5 million characters are read, the first 2 million
            encoded. Where there are fewer, no engine is tried.
    """
    reference = ReferenceEncoder(tokenizer_json)
    texts, is_worthwhile = _beginning(sample)
    if not is_worthwhile:
        return reference
    try:
        fast = GigatokenEncoder(tokenizer_json)
        differing = first_difference(fast, reference, [*texts, *trial_texts()])
    except EngineFailed as error:
        _log.info("Encoding with tokenizers: %s", error)
        return reference
    if differing is not None:
        _log.warning("Encoding with tokenizers: gigatoken differs on %.80r", differing)
        return reference
    return _Guarded(fast, reference)


class _Guarded:
    """A fast engine until it fails, `tokenizers` from then on."""

    def __init__(self, fast: Encoder, reference: Encoder) -> None:
        self._chosen = fast
        self._reference = reference

    @property
    def engine(self) -> str:
        return self._chosen.engine

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        try:
            return self._chosen.encode_batch(texts)
        except EngineFailed as error:
            _log.warning("Encoding with tokenizers from here on: %s", error)
            self._chosen = self._reference
            return self._chosen.encode_batch(texts)


def first_difference(encoder: Encoder, reference: Encoder, texts: Sequence[str]) -> str | None:
    """The first text that two engines encode differently.

    Raises:
        EngineFailed: one of them cannot encode them.
    """
    both = zip(texts, encoder.encode_batch(texts), reference.encode_batch(texts), strict=True)
    return next((text for text, ours, theirs in both if not np.array_equal(ours, theirs)), None)


def _beginning(sample: Iterable[str]) -> tuple[list[str], bool]:
    """The texts to test an engine on, and whether there are enough of them behind those."""
    texts: list[str] = []
    num_characters = 0
    for text in sample:
        if num_characters < TEST_CHARACTERS:
            texts.append(text[: TEST_CHARACTERS - num_characters])
        num_characters += len(text)
        if num_characters >= WORTHWHILE_CHARACTERS:
            return texts, True
    return texts, False
