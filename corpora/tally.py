"""Sums over the facts of all documents: what was kept and removed, of which file and language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from corpora.deduplicate import Duplicates
from corpora.report import NUM_FILES, Removed
from corpora.spool import Facts

_LENGTH_BITS = 33


class Tally:
    """Counts documents chunk by chunk, never one by one."""

    def __init__(self, first_files: Sequence[int]) -> None:
        """``first_files``: how many files there are before each piece."""
        self.kept = Removed()
        self.exact = Removed()
        self.near = Removed()
        self.lengths = np.zeros(_LENGTH_BITS, dtype=np.int64)
        """Documents that were kept, by the number of bits of their length in bytes."""
        self.kept_by_file = _ByFile()
        self.removed_by_file = _ByFile()
        self._first_files = first_files
        self._languages: Counter[str] = Counter()

    @property
    def languages(self) -> dict[str, int]:
        """Documents that were kept by language, most first; empty if none was told."""
        by_count = sorted(self._languages.items(), key=lambda item: (-item[1], item[0]))
        return dict(by_count)

    def count(self, piece: int, facts: Facts, duplicates: Duplicates, start: int) -> None:
        """Count a chunk of one piece; ``start`` is the ordinal of its first document."""
        chunk = slice(start, start + len(facts))
        is_removed, is_repeat = duplicates.is_removed[chunk], duplicates.is_repeat[chunk]
        kept, removed = facts[~is_removed], facts[is_removed]
        self.kept += _sum(kept)
        self.exact += _sum(facts[is_removed & is_repeat])
        self.near += _sum(facts[is_removed & ~is_repeat])
        self.kept_by_file.count(kept, self._first_files[piece])
        self.removed_by_file.count(removed, self._first_files[piece])
        bits = np.frexp(kept["num_bytes"].astype(np.float64))[1]
        self.lengths += np.bincount(bits, minlength=_LENGTH_BITS)
        languages, counts = np.unique(kept["language"], return_counts=True)
        for language, count in zip(languages.tolist(), counts.tolist(), strict=True):
            if language:
                self._languages[language.decode()] += count


class _ByFile:
    """Documents and their bytes by file, of the first files alone."""

    def __init__(self) -> None:
        self._counts = np.zeros(NUM_FILES, dtype=np.int64)
        self._num_bytes = np.zeros(NUM_FILES, dtype=np.int64)

    def __getitem__(self, index: int) -> Removed:
        return Removed(count=int(self._counts[index]), num_bytes=int(self._num_bytes[index]))

    def count(self, facts: Facts, first_file: int) -> None:
        files = facts["file"].astype(np.int64) + first_file
        is_told = files < NUM_FILES
        files = files[is_told]
        self._counts += np.bincount(files, minlength=NUM_FILES)
        # whole numbers: as weights of a histogram they would go through floating point
        np.add.at(self._num_bytes, files, facts["num_bytes"][is_told])


def _sum(facts: Facts) -> Removed:
    return Removed(count=len(facts), num_bytes=int(facts["num_bytes"].sum(dtype=np.int64)))
