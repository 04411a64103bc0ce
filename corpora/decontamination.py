"""Documents that quote an evaluation: found by the runs of words that both have.

As for GPT-3 (arXiv 2005.14165, appendix C), texts are compared in small letters, without
punctuation, by runs of 13 words; a shorter text of the evaluation counts as a whole if it has 8
words. One common run is enough to drop a document, as in most pipelines since.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from core.corpus_options import CorpusOptions
from core.errors import BadData
from core.filters.decontamination import Contaminated
from corpora.ngrams import Hashes, Ints, hash_ngrams
from corpora.readers.record import Record
from corpora.readers.source import SourceFile, read_records

MAX_EVALUATION_CHARACTERS: Final = 2**25
"""What an evaluation may hold: a few hundred megabytes in memory, were no word there twice."""

_PARAM: Final = "clean.decontaminate"
_PUNCTUATION = re.compile(r"[^\w\s]+|_+")
_ASCII_PUNCTUATION: Final = "".join(
    character for character in map(chr, range(0x80)) if _PUNCTUATION.fullmatch(character)
).encode()
_UNKNOWN: Final = 0


class _Numbers(dict[str, int]):
    """Words by number, from one on."""

    def __missing__(self, word: str) -> int:
        return _UNKNOWN


class Evaluation:
    """The texts of an evaluation, as sets of hashed runs of words."""

    def __init__(self, texts: Iterable[str], *, limits: Contaminated, sha256: str) -> None:
        """Take in the texts.

        Args:
            texts: those of the evaluation.
            limits: how long runs of words are.
            sha256: of the file that they stand in.

        Raises:
            BadData: they are too long, or none of them is long enough.
        """
        self.sha256 = sha256
        self._limits = limits
        self._number_of = _Numbers()
        self._hashes = self._known_runs(texts)
        if not self._hashes:
            raise BadData(
                f"no text of the evaluation has {limits.min_words} words or more, so nothing can "
                "be told from it",
                code="evaluation_empty",
                param=_PARAM,
            )

    def is_quoted_by(self, text: str) -> bool:
        """Whether a document shares as many runs of words with the evaluation as are too many."""
        words = words_of(text)
        numbers = np.fromiter(map(self._number_of.__getitem__, words), np.int64, len(words))
        num_shared = 0
        for n, known in self._hashes.items():
            num_shared += _num_known(numbers, n, known)
            if num_shared >= self._limits.min_ngrams:
                return True
        return False

    def _known_runs(self, texts: Iterable[str]) -> dict[int, Hashes]:
        """Sorted hashes by the length of the runs."""
        runs: defaultdict[int, list[Hashes]] = defaultdict(list)
        longest, shortest = self._limits.ngram_words, self._limits.min_words
        num_characters = 0
        for text in texts:
            num_characters += len(text)
            if num_characters > MAX_EVALUATION_CHARACTERS:
                raise BadData(
                    f"the evaluation has more than {MAX_EVALUATION_CHARACTERS:,} characters",
                    code="evaluation_too_large",
                    param=_PARAM,
                )
            words = words_of(text)
            n = min(longest, len(words))
            if n >= min(shortest, longest):
                runs[n].append(hash_ngrams(self._numbered(words), n))
        return {n: np.unique(np.concatenate(hashes)) for n, hashes in sorted(runs.items())}

    def _numbered(self, words: list[str]) -> Ints:
        number_of = self._number_of
        return np.fromiter(
            (number_of.setdefault(word, len(number_of) + 1) for word in words),
            np.int64,
            len(words),
        )


def read_evaluation(
    file: SourceFile, *, options: CorpusOptions, scratch: Path | None = None
) -> Evaluation:
    """The evaluation in a file, which may have any format that a corpus's files may have.

    Args:
        file: the one that ``options.clean.decontaminate`` names.
        options: those of the corpus.
        scratch: as :func:`corpora.readers.source.read_records` needs it.

    Raises:
        BadData: the file cannot be read, is too large or holds nothing that can be compared.
    """
    limits = options.clean.filters.contaminated
    assert limits, "no evaluation is asked for"
    of_evaluation = CorpusOptions(text_field=options.text_field)
    records = read_records(file, options=of_evaluation, notice=lambda _: None, scratch=scratch)
    texts = (record.text for record in records if isinstance(record, Record))
    return Evaluation(texts, limits=limits, sha256=file.sha256)


def words_of(text: str) -> list[str]:
    """The words that are compared: small letters and digits, whatever stands between them."""
    if text.isascii():
        return text.lower().encode().translate(None, _ASCII_PUNCTUATION).decode().split()
    return _PUNCTUATION.sub("", text.lower()).split()


def _num_known(numbers: Ints, n: int, known: Hashes) -> int:
    """How many runs of ``n`` words a document shares; most hold a word that is not known at all."""
    hashes = hash_ngrams(numbers, n)
    if not len(hashes):
        return 0
    num_unknown = np.concatenate(([0], np.cumsum(numbers == _UNKNOWN)))
    hashes = hashes[num_unknown[n:] == num_unknown[:-n]]
    places = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return int(np.count_nonzero(known[places] == hashes))
