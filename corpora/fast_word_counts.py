"""Words counted by a fast encoder: several times as fast, and the same counts.

The encoder gets a vocabulary of the words that were found in the beginning of the text, each a
token of its own, and of single bytes. A word that is not among them becomes a run of bytes; whole
runs are rare, and cut by the plain counter.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from string import digits
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models

from corpora.encoders.gigatoken import EngineFailed, GigatokenEncoder
from corpora.encoders.opening import first_other_split
from corpora.encoders.probe import KnownCharacters
from corpora.tokenizer import word_splitter
from corpora.vocabulary import byte_alphabet
from corpora.word_counts import WordCounter, is_space

LEARNED_CHARACTERS: Final = 5_000_000
MAX_WORDS: Final = 100_000

_NUM_BYTES: Final = 256
_BATCH_CHARACTERS: Final = 2**21
_TEST_CHARACTERS: Final = 1_000_000
Part = tuple[bytes, bool]
"""Words that stand together and are not known, and whether something visible follows them."""

_log = logging.getLogger(__name__)


class FastWordCounter:
    """Counts like :class:`WordCounter`; worth it for tens of megabytes.

    The fast encoder takes over when it has learned the words, if it splits every kind of character
    as it should and counts the text so far alike. Texts with characters that Python does not know
    stay with the plain counter.
    """

    def __init__(self) -> None:
        self._plain = WordCounter()
        self._beginning: list[str] | None = []
        self._num_learned = 0
        self._fast: _KnownWords | None = None
        self._known = KnownCharacters()
        self._waiting: list[str] = []
        self._num_waiting = 0

    def add(self, text: str) -> None:
        """Count the words of ``text``."""
        if self._fast is None or not self._known.make_up(text):
            self._plain.add(text)
            self._learn(text)
            return
        self._waiting.append(text)
        self._num_waiting += len(text)
        if self._num_waiting >= _BATCH_CHARACTERS:
            self._flush()

    def num_unique_bytes(self) -> int:
        """The UTF-8 bytes of all different words together."""
        self._flush()
        return self._plain.num_unique_bytes()  # which has met every word of the fast one

    def counts(self) -> dict[bytes, int]:
        """How often each word, in UTF-8, has stood there."""
        self._flush()
        counts = self._plain.counts()
        if self._fast is not None:
            for word, count in self._fast.counts().items():
                counts[word] = counts.get(word, 0) + count
        return counts

    def _learn(self, text: str) -> None:
        if self._beginning is None:
            return
        if self._num_learned < _TEST_CHARACTERS:
            self._beginning.append(text)
        self._num_learned += len(text)
        if self._num_learned >= LEARNED_CHARACTERS:
            self._fast = _trusted_words(self._plain.counts(), self._beginning)
            self._beginning = None

    def _flush(self) -> None:
        if self._fast is None or not self._waiting:
            return
        texts, self._waiting, self._num_waiting = self._waiting, [], 0
        try:
            parts = self._fast.count(texts)
        except EngineFailed as error:
            _log.warning("Counting words with less speed: %s", error)
            parts = Counter((text.encode(), False) for text in texts)
        _add_parts(self._plain, parts)


class _KnownWords:
    """A fast encoder whose tokens are whole words, and how often it has met each."""

    def __init__(self, words: Sequence[bytes]) -> None:
        """``words`` are of at least two bytes.

        Raises:
            EngineFailed: the library does not know how words are split here.
        """
        self._words = words
        self._counts = np.zeros(_NUM_BYTES + len(words), dtype=np.int64)
        is_digit = [chr(byte) in digits for byte in range(_NUM_BYTES)]
        self._is_word = np.array([*is_digit, *(True for _ in words)])
        self._is_visible = np.array(
            [*is_digit, *(not is_space(word.decode()[0]) for word in words)]
        )
        self.tokenizer_json = _tokenizer_of_words(words)
        self._encoder = GigatokenEncoder(self.tokenizer_json)

    def count(self, texts: list[str]) -> Counter[Part]:
        """Count the words of texts that are known; answers the parts between them.

        A single byte between two of them is a word, and so is every digit.

        Raises:
            EngineFailed: an error within the library; nothing has been counted.
        """
        ids, borders = self._encoder.encode_joined(texts)
        begins, ends = _runs(~self._is_word[ids], borders)
        is_byte = ends - begins == 1
        size = len(self._counts)
        self._counts += np.where(self._is_word, np.bincount(ids, minlength=size), 0)
        self._counts += np.bincount(ids[begins[is_byte]], minlength=size)
        begins, ends = begins[~is_byte], ends[~is_byte]
        follows = np.append(self._is_visible[ids], [False])[ends] & ~np.isin(ends, borders)
        data = ids.astype(np.uint8).tobytes()
        stretches = map(slice, begins.tolist(), ends.tolist())
        return Counter(zip(map(data.__getitem__, stretches), follows.tolist(), strict=True))

    def counts(self) -> dict[bytes, int]:
        """How often each word has been met."""
        words = [*(bytes([byte]) for byte in range(_NUM_BYTES)), *self._words]
        counted = zip(words, self._counts.tolist(), strict=True)
        return {word: count for word, count in counted if count}


def _trusted_words(counts: dict[bytes, int], texts: list[str]) -> _KnownWords | None:
    """The most frequent words, if the encoder that finds them can be trusted."""
    frequent = sorted(counts, key=lambda word: (-counts[word], word))
    words = [word for word in frequent if len(word) > 1]
    try:
        fast = _KnownWords(words[:MAX_WORDS])
        differing = first_other_split(fast.tokenizer_json)
        if differing is None and _counts_alike(_KnownWords(words[:MAX_WORDS]), texts):
            return fast
    except EngineFailed as error:
        _log.info("Counting words without a fast engine: %s", error)
        return None
    _log.warning("Counting words without a fast engine: it splits %.80r otherwise", differing)
    return None


def _counts_alike(fast: _KnownWords, texts: list[str]) -> bool:
    """Whether both ways of counting come to the same."""
    known = KnownCharacters()
    texts = [text for text in texts if known.make_up(text)]
    plain, rest = WordCounter(), WordCounter()
    for text in texts:
        plain.add(text)
    _add_parts(rest, fast.count(texts))
    return plain.counts() == Counter(fast.counts()) + Counter(rest.counts())


def _add_parts(counter: WordCounter, parts: Counter[Part]) -> None:
    for (part, is_followed), times in parts.items():
        counter.add_part(part.decode(), is_followed=is_followed, times=times)


def _tokenizer_of_words(words: Sequence[bytes]) -> bytes:
    letters = {byte: letter for letter, byte in byte_alphabet().items()}
    vocabulary = {letters[byte]: byte for byte in range(_NUM_BYTES)}
    for id_, word in enumerate(words, _NUM_BYTES):
        vocabulary["".join(letters[byte] for byte in word)] = id_
    tokenizer = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True))
    tokenizer.pre_tokenizer = word_splitter()
    return tokenizer.to_str().encode()


def _runs(
    is_in: NDArray[np.bool_], borders: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each run of true values begins and ends; none goes across a border."""
    begins, ends = is_in.copy(), is_in.copy()
    begins[1:] &= ~is_in[:-1]
    ends[:-1] &= ~is_in[1:]
    inner = borders[(borders > 0) & (borders < len(is_in))]
    begins[inner] |= is_in[inner]
    ends[inner - 1] |= is_in[inner - 1]
    return np.flatnonzero(begins), np.flatnonzero(ends) + 1
