"""Choosing the engine for a corpus and a tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import compress
from operator import not_
from typing import Final

import numpy as np

from corpora.encoders.base import Encoder, Ids
from corpora.encoders.gigatoken import EngineFailed, GigatokenEncoder
from corpora.encoders.probe import (
    KnownCharacters,
    borders_of_categories,
    probe_tokenizer,
    probes,
)
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
        _log.info("Encoding with tokenizers: there is too little text for another engine")
        return reference
    try:
        fast = GigatokenEncoder(tokenizer_json)
        differing = _find_difference(fast, reference, tokenizer_json, texts)
    except EngineFailed as error:
        _log.info("Encoding with tokenizers: %s", error)
        return reference
    if differing is not None:
        _log.warning("Encoding with tokenizers: gigatoken differs on %.80r", differing)
        return reference
    _log.info("Encoding with %s: its ids are those of tokenizers", fast.engine)
    return TrustedEncoder(fast, reference)


class TrustedEncoder:
    """A fast engine where it can be trusted, `tokenizers` elsewhere.

    That is for texts with characters of which engines know different things, and for all from where
    the engine has failed.
    """

    def __init__(self, fast: Encoder, reference: Encoder) -> None:
        """Both have the same tokenizer."""
        self._fast = fast
        self._reference = reference
        self._known = KnownCharacters()

    @property
    def engine(self) -> str:
        """The one that does all it can be trusted with."""
        return self._fast.engine

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text."""
        are_known = [self._known.make_up(text) for text in texts]
        easy = iter(self._encode_fast([*compress(texts, are_known)]))
        hard = iter(self._reference.encode_batch([*compress(texts, map(not_, are_known))]))
        return [next(easy) if is_known else next(hard) for is_known in are_known]

    def _encode_fast(self, texts: list[str]) -> list[Ids]:
        try:
            return self._fast.encode_batch(texts)
        except EngineFailed as error:
            _log.warning("Encoding with tokenizers from here on: %s", error)
            self._fast = self._reference
            return self._reference.encode_batch(texts)


def _find_difference(
    fast: Encoder, reference: Encoder, tokenizer_json: bytes, texts: list[str]
) -> str | None:
    """A text that the engines encode differently, of those that the fast one is trusted with."""
    known = KnownCharacters()
    trials = [text for text in (*texts, *trial_texts()) if known.make_up(text)]
    differing = first_difference(fast, reference, trials)
    if differing is not None:
        return differing
    return first_other_split(tokenizer_json)


def first_other_split(tokenizer_json: bytes) -> str | None:
    """The first probe of known characters that the fast engine splits unlike `tokenizers`.

    Raises:
        EngineFailed: it cannot load the tokenizer.
    """
    known = KnownCharacters()
    probe = probe_tokenizer(tokenizer_json)
    texts = [text for text in probes(borders_of_categories()) if known.make_up(text)]
    return first_difference(GigatokenEncoder(probe), ReferenceEncoder(probe), texts)


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
