"""Span corruption: runs of words are removed and written out after the text.

Shape suffixes: W windows, R tokens read for a window, T context length, S removed runs of a window,
K labels of a sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.objectives import SpanCorruptionObjective
from corpora.counter_random import Use, random_bits, sample_keys
from corpora.removers.samples import NOWHERE, Reading, Samples
from corpora.removers.spliced import Source
from corpora.removers.words import segment_starts, text_ends, word_starts
from corpora.vocabulary import (
    END_OF_TEXT,
    FIRST_SENTINEL,
    NUM_SENTINELS,
    PAD,
    SEP,
    Vocabulary,
)

_ROOM_FOR_LONG_WORDS: Final = 1.25
"""Labels of a sample beyond those that are expected: words drawn at random may be long ones."""


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """The removed runs of some windows: places as ``corpora.removers.words`` counts them."""

    text_ends: NDArray[np.int64]
    """Behind the text of each window, [W]."""
    starts: NDArray[np.int64]
    """[W, S]; a run that a window has not is empty and stands at the end of its text."""
    ends: NDArray[np.int64]
    """[W, S]."""


@dataclass(frozen=True)
class SpanRemover:
    """Runs of whole words are replaced by sentinels; the answer follows (T5, arXiv 1910.10683).

    ``I bought a <|extra_0|> to play <|extra_1|> music. [SEP] <|extra_0|> guitar <|extra_1|> my
    <|endoftext|>``, and only what follows the `[SEP]` counts. Each removed run costs two sentinels,
    and the number of runs is the same for every full window: so a window reads just as many tokens
    fewer, and sample and context fit exactly. Sentinels begin again behind the last one; their
    order tells which is which.

    Runs are drawn as T5 draws them, among words instead of tokens: a random composition of the
    removed words into runs, at random places that do not touch each other. A word has what follows
    it up to the next word; one that is longer than all that may go is taken for its characters. The
    first and the last word, which the window may have cut, stay if there are others, and so does
    the mark between two documents with the shorter side of a run across it. An answer may be longer
    than the K labels of a sample, where long words were drawn: its rest is not learned.
    """

    context_length: int
    objective: SpanCorruptionObjective
    vocabulary: Vocabulary

    @property
    def num_spans(self) -> int:
        """Removed runs of a full window (S)."""
        rate, mean = self.objective.rate, self.objective.mean_span
        return max(1, round(rate * (self.context_length - 1) / (mean + 2 * rate)))

    @property
    def tokens_read(self) -> int:
        """What leaves room for the sentinels, twice, and for the two marks of the answer."""
        return self.context_length - 1 - 2 * self.num_spans

    @property
    def stride(self) -> int:
        """Windows stand side by side."""
        return self.tokens_read

    @property
    def num_labels(self) -> int | None:
        """The usual answer and some more (K)."""
        removed = math.ceil(_ROOM_FOR_LONG_WORDS * self.objective.rate * self.tokens_read)
        return min(self.context_length, self.num_spans + removed + 1)

    def remove(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> Samples:
        """Move runs of words behind the text, other ones for every sample index."""
        spans = self._spans(tokens_WR, seed=seed, samples=samples)
        sequences, answers_W, answer_lengths_W = self._rearranged(tokens_WR, spans)
        num_labels = self.num_labels
        assert num_labels is not None
        places_K = np.arange(num_labels)
        loss_mask_WK = places_K < answer_lengths_W[:, None]
        positions_WK = np.where(loss_mask_WK, answers_W[:, None] + places_K, NOWHERE)
        labels_WK = np.take_along_axis(sequences, positions_WK + 1, axis=1)
        labels_WK[~loss_mask_WK] = PAD
        return Samples(
            input_ids=sequences[:, :-1],
            labels=labels_WK,
            positions=positions_WK,
            loss_mask=loss_mask_WK,
        )

    def read(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> list[Reading]:
        """Each window with a gap for every removed run."""
        spans = self._spans(tokens_WR, seed=seed, samples=samples)
        readings = []
        for row, tokens_R in enumerate(tokens_WR):
            first = row * len(tokens_R)
            pairs = zip(spans.starts[row].tolist(), spans.ends[row].tolist(), strict=True)
            gaps = tuple((start - first, end - 1 - first) for start, end in pairs if end > start)
            readings.append(Reading(tokens_R[: spans.text_ends[row] - first], gaps))
        return readings

    def _rearranged(
        self, tokens_WR: NDArray[np.int64], spans: _Spans
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The sequences, [W, T + 1], where the answer's first label is predicted, and its length.

        A row's runs: text, sentinel, text, sentinel, ..., text, `[SEP]`, sentinel, removed,
        sentinel, removed, ..., `<|endoftext|>`, padding.
        """
        num_windows, num_read = tokens_WR.shape
        num_spans = self.num_spans
        source = Source.of(tokens_WR.ravel(), filler=PAD, num_fillers=self.context_length)
        lengths_WS = spans.ends - spans.starts
        is_span_WS = lengths_WS > 0
        numbers_WS = (np.cumsum(is_span_WS, axis=1) - 1) % NUM_SENTINELS
        sentinels_WS = source.specials + FIRST_SENTINEL + numbers_WS

        text, answer = 2 * num_spans + 1, 2 * num_spans
        starts = np.empty((num_windows, text + 1 + answer + 2), dtype=np.int64)
        lengths = np.ones_like(starts)
        rows_W = np.arange(num_windows) * num_read
        starts[:, 0] = rows_W
        starts[:, 2:text:2] = spans.ends
        lengths[:, 0:text:2] = -starts[:, 0:text:2]
        lengths[:, 0 : text - 1 : 2] += spans.starts
        lengths[:, text - 1] += spans.text_ends
        starts[:, 1:text:2] = sentinels_WS
        lengths[:, 1:text:2] = is_span_WS
        starts[:, text] = source.specials + SEP
        starts[:, text + 1 : -2 : 2] = sentinels_WS
        lengths[:, text + 1 : -2 : 2] = is_span_WS
        starts[:, text + 2 : -2 : 2] = spans.starts
        lengths[:, text + 2 : -2 : 2] = lengths_WS
        starts[:, -2] = source.specials + END_OF_TEXT
        starts[:, -1] = source.filling
        answers_W = lengths[:, :text].sum(axis=1)
        answer_lengths_W = lengths[:, text + 1 : -1].sum(axis=1)
        lengths[:, -1] = self.context_length - answers_W - answer_lengths_W
        sequences = source.spliced(starts.ravel(), lengths.ravel())
        return sequences.reshape(num_windows, -1), answers_W, answer_lengths_W

    def _spans(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> _Spans:
        """Draw the runs to be removed."""
        num_windows, num_read = tokens_WR.shape
        rows_W = np.arange(num_windows) * num_read
        text_ends_W = text_ends(tokens_WR)
        words = self._words(tokens_WR, text_ends_W)
        first_words_W = np.searchsorted(words, rows_W)
        num_words_W = np.searchsorted(words, rows_W + num_read) - first_words_W
        removed_W, spans_W, held_W = self._numbers(num_words_W, text_ends_W)

        places_WS = _chosen(
            sample_keys(seed, Use.SPAN_PLACE, samples),
            sizes_W=num_words_W - removed_W - 2 * held_W + 1,
            counts_W=spans_W,
            width=self.num_spans,
        )
        breaks_WS = _chosen(
            sample_keys(seed, Use.SPAN_LENGTH, samples),
            sizes_W=removed_W - 1,
            counts_W=spans_W - 1,
            width=self.num_spans,
        )
        # how many of the removed words stand before each run ends
        ends_WS = np.minimum(breaks_WS + 1, removed_W[:, None])
        befores_WS = np.concatenate(
            [np.zeros((num_windows, 1), dtype=np.int64), ends_WS[:, :-1]], axis=1
        )
        starts_WS = first_words_W[:, None] + held_W[:, None] + places_WS + befores_WS
        has_WS = np.arange(self.num_spans) < spans_W[:, None]
        last_W1 = (first_words_W + num_words_W)[:, None]
        starts_WS = np.where(has_WS, starts_WS, last_W1)
        ends_WS = np.where(has_WS, starts_WS + ends_WS - befores_WS, last_W1)

        row_ends_W1 = (rows_W + text_ends_W)[:, None]
        beyond = np.append(words, num_windows * num_read)
        return _within_documents(
            tokens_WR,
            _Spans(
                text_ends=row_ends_W1[:, 0],
                starts=np.where(starts_WS < last_W1, beyond[starts_WS], row_ends_W1),
                ends=np.where(ends_WS < last_W1, beyond[ends_WS], row_ends_W1),
            ),
        )

    def _words(
        self, tokens_WR: NDArray[np.int64], text_ends_W: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The places where the words of the text begin, ascending."""
        num_read = tokens_WR.shape[1]
        longest = max(1, round(self.objective.rate * num_read))
        segments = segment_starts(tokens_WR)
        words = word_starts(tokens_WR, segments, self.vocabulary, longest=longest)
        rows, places = np.divmod(words, num_read)
        return words[places < text_ends_W[rows]]

    def _numbers(
        self, num_words_W: NDArray[np.int64], text_ends_W: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """How many words and how many runs go, and how many words stay at each end, all [W]."""
        rate = self.objective.rate
        wanted_W = np.rint(rate * text_ends_W / self.objective.mean_span).astype(np.int64)
        removed_W = np.clip(np.rint(rate * num_words_W).astype(np.int64), 1, None)
        removed_W = np.minimum(removed_W, num_words_W)
        held_W = (num_words_W >= removed_W + 2).astype(np.int64)
        places_W = num_words_W - removed_W - 2 * held_W + 1
        most_W = np.minimum(removed_W, places_W)
        spans_W = np.minimum(np.clip(wanted_W, 1, self.num_spans), most_W)
        return removed_W, spans_W, held_W


def _within_documents(tokens_WR: NDArray[np.int64], spans: _Spans) -> _Spans:
    """Of a run across the border of two documents, what lies on its longer side."""
    borders = np.flatnonzero(tokens_WR == END_OF_TEXT)
    firsts = np.searchsorted(borders, spans.starts)
    behind = np.searchsorted(borders, spans.ends)
    crosses = behind > firsts
    if not crosses.any():
        return spans
    first = borders[firsts[crosses]]
    after_last = borders[behind[crosses] - 1] + 1
    starts, ends = spans.starts.copy(), spans.ends.copy()
    keeps_front = first - starts[crosses] >= ends[crosses] - after_last
    starts[crosses] = np.where(keeps_front, starts[crosses], after_last)
    ends[crosses] = np.where(keeps_front, first, ends[crosses])
    return _Spans(spans.text_ends, starts, ends)


def _chosen(
    keys_W1: NDArray[np.uint64],
    *,
    sizes_W: NDArray[np.int64],
    counts_W: NDArray[np.int64],
    width: int,
) -> NDArray[np.int64]:
    """Of ``range(sizes_W)`` as many different numbers as ``counts_W`` says, ascending.

    Returns:
        [W, width]; behind the chosen ones stand numbers beyond every size.
    """
    num_columns = max(width, int(sizes_W.max(initial=0)))
    columns = np.arange(num_columns, dtype=np.uint64)
    drawn = random_bits(keys_W1, columns) & ~_COLUMN
    drawn |= columns
    drawn[columns >= sizes_W[:, None].clip(0).astype(np.uint64)] = ~_COLUMN | np.uint64(num_columns)
    if width < num_columns:
        drawn = np.partition(drawn, width, axis=1)[:, :width]
    drawn.sort(axis=1)
    chosen = (drawn & _COLUMN).astype(np.int64)
    chosen[np.arange(width) >= counts_W[:, None]] = num_columns
    chosen.sort(axis=1)
    return chosen


_COLUMN: Final = np.uint64(2**20 - 1)
"""The bits of a drawn number that tell its column; a window has fewer words."""
