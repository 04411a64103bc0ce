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

TEST_BYTES: Final = 2_000_000
"""Text of the corpus on which a fast engine has to agree with `tokenizers`."""
WORTHWHILE_BYTES: Final = 1_000_000
"""Less is encoded by `tokenizers` before a fast engine would be tested."""

_log = logging.getLogger(__name__)


def open_encoder(tokenizer_json: bytes, sample: Iterable[str]) -> Encoder:
    """The fastest engine that gives the ids of `tokenizers` on this corpus.

    The choice changes no id, so the bytes of a dataset do not depend on it.

    Args:
        tokenizer_json: the tokenizer.
        sample: texts of the corpus, of which the first 2 MB are read; with less than 1 MB of them
            no engine is tried.
    """
    reference = ReferenceEncoder(tokenizer_json)
    texts = _beginning(sample)
    if sum(map(len, texts)) < WORTHWHILE_BYTES:
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


def _beginning(sample: Iterable[str]) -> list[str]:
    texts: list[str] = []
    room = TEST_BYTES
    for text in sample:
        texts.append(text[:room])
        room -= len(text)
        if room <= 0:
            break
    return texts
