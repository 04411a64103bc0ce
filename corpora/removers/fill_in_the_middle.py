"""Fill in the middle: a run of words is moved behind the text that stood around it.

Shape suffixes: W windows, R tokens read for a window, T context length, G documents' parts in all
windows (segments). Places count through all windows, as ``corpora.removers.words`` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, auto
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.objectives import FillInTheMiddleObjective
from corpora.counter_random import Use, random_shares, sample_keys
from corpora.removers.causal import CausalWindows
from corpora.removers.samples import Reading, Samples, document_numbers
from corpora.removers.spliced import Source
from corpora.removers.words import segment_starts, word_starts
from corpora.vocabulary import (
    END_OF_TEXT,
    FIM_MIDDLE,
    FIM_PAD,
    FIM_PREFIX,
    FIM_SUFFIX,
    PAD,
    Vocabulary,
)

_SHORTEST: Final = 8
"""Tokens of a part that is worth three control tokens."""
_LONGEST_WORD: Final = 16
"""Tokens of a word that is cut at its beginning alone, in a window of any length."""
_LONGEST_WORD_SHARE: Final = 8
"""The part of a window, one in so many, that such a word may be."""
_NUM_RUNS: Final = 10


class _Draw(IntEnum):
    """What is drawn for each segment."""

    IS_MOVED = 0
    IS_SUFFIX_FIRST = auto()
    ONE_PLACE = auto()
    OTHER_PLACE = auto()
    FIRST_IS_WITHIN_A_WORD = auto()
    SECOND_IS_WITHIN_A_WORD = auto()
    FIRST_CHARACTER = auto()
    SECOND_CHARACTER = auto()


@dataclass(frozen=True, slots=True, eq=False)
class _Segments:
    """Parts of documents that lie in one window, all [G]."""

    rows: NDArray[np.int64]
    keys: NDArray[np.uint64]
    """Of the random numbers of each one's sample."""
    numbers: NDArray[np.int64]
    """Within the window."""
    starts: NDArray[np.int64]
    """Where the `<|endoftext|>` stands, if there is one."""
    texts: NDArray[np.int64]
    """Behind it."""
    ends: NDArray[np.int64]

    def draw(self, what: _Draw) -> NDArray[np.float64]:
        """A number from 0 to below 1 for each segment."""
        counters = self.numbers * len(_Draw) + what
        return random_shares(self.keys, counters.astype(np.uint64))


@dataclass(frozen=True, slots=True, eq=False)
class _Cuts:
    """Where segments are cut: before a place, or within the token there."""

    places: NDArray[np.int64]
    characters: NDArray[np.int64]
    """Which way the token at the place is cut in two; -1: it stays whole."""

    @property
    def order(self) -> NDArray[np.int64]:
        """Rises with the text."""
        return 2 * self.places + (self.characters >= 0)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Windows whose tokens are cut where they must be, and which pieces of them change places."""

    tokens: NDArray[np.int64]
    """Of all windows in a row, the halves of a cut token in its place."""
    segments: _Segments
    is_moved: NDArray[np.bool_]
    """[G]."""
    middles: NDArray[np.int64]
    """Where what is to be filled in begins, [G]."""
    suffixes: NDArray[np.int64]
    """Where it ends, [G]."""


@dataclass(frozen=True, slots=True, eq=False)
class _Halves:
    """The ways to cut tokens within a word into two other tokens."""

    offsets: NDArray[np.int64]
    """Where each id's ways begin, and the end, [vocabulary + 1]."""
    lefts: NDArray[np.int64]
    rights: NDArray[np.int64]


@dataclass(frozen=True)
class MiddleRemover(CausalWindows):
    """Parts of documents are rearranged, so that a decoder learns to fill a gap (arXiv 2207.14255).

    ``<|fim_prefix|> before <|fim_suffix|> after <|fim_middle|> between``, or, so that both can be
    asked, ``<|fim_prefix|> <|fim_suffix|> after <|fim_middle|> before between`` (the paper's second
    way of suffix first). The end of the middle is told by the `<|endoftext|>` behind it. Everything
    is learned but the control tokens, which a user writes and not the model.

    Windows are cut first (the paper's context level), and each document's part in one is rearranged
    or not by itself: a middle never leaves its document. Cuts are at the beginnings of words (of
    characters where words are very long, as in scripts without spaces), or within one: then the
    token is replaced by two others, its halves, and for a word of one token that is just how a
    tokenizer would write the two. What the control tokens need is taken from the window's end;
    where less was needed after all, `<|fim_pad|>` fills it up.
    """

    objective: FillInTheMiddleObjective
    vocabulary: Vocabulary

    def remove(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> Samples:
        """Move the middles of some documents, other ones for every sample index."""
        plan = self._plan(tokens_WR, seed=seed, samples=samples)
        sequences = self._rearranged(plan, num_windows=len(tokens_WR))
        input_ids_WT, labels_WT = sequences[:, :-1], sequences[:, 1:]
        is_control = (labels_WT >= FIM_PREFIX) & (labels_WT <= FIM_PAD)
        return Samples(
            input_ids=input_ids_WT,
            labels=labels_WT,
            positions=None,
            loss_mask=~is_control & (labels_WT != PAD),
            documents=document_numbers(input_ids_WT) if self.objective.document_mask else None,
        )

    def read(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> list[Reading]:
        """Each window with a gap for every middle; without one where it is left as it was."""
        plan = self._plan(tokens_WR, seed=seed, samples=samples)
        readings = []
        for row in range(len(tokens_WR)):
            here = np.flatnonzero(plan.segments.rows == row)
            start, end = plan.segments.starts[here[0]], plan.segments.ends[here].max()
            middles = plan.middles[here][plan.is_moved[here]] - start
            behind = plan.suffixes[here][plan.is_moved[here]] - start
            gaps = tuple(zip(middles.tolist(), (behind - 1).tolist(), strict=True))
            readings.append(Reading(plan.tokens[start:end], gaps))
        return readings

    def _rearranged(self, plan: _Plan, *, num_windows: int) -> NDArray[np.int64]:
        """The sequences of the windows, [W, T + 1].

        A moved segment's runs: `<|endoftext|>` if it had one, `<|fim_prefix|>`, prefix (if it comes
        first), `<|fim_suffix|>`, suffix, `<|fim_middle|>`, prefix (otherwise), middle, and an
        `<|endoftext|>` where no other segment brings one. Then what fills the window up.
        """
        segments, is_moved = plan.segments, plan.is_moved
        source = Source.of(plan.tokens, filler=FIM_PAD, num_fillers=self.tokens_read)
        is_last = np.append(segments.rows[1:] != segments.rows[:-1], True)
        is_suffix_first = segments.draw(_Draw.IS_SUFFIX_FIRST) < self.objective.suffix_first
        prefixes = plan.middles - segments.texts
        has_mark = segments.starts < segments.texts
        needs_mark = is_last | ~np.append(has_mark[1:], False)

        shape = (len(is_moved), _NUM_RUNS)
        starts, lengths = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        starts[:, 0] = segments.starts
        lengths[:, 0] = np.where(is_moved, segments.texts, segments.ends) - segments.starts
        for column, control in ((1, FIM_PREFIX), (3, FIM_SUFFIX), (5, FIM_MIDDLE)):
            starts[:, column] = source.specials + control
            lengths[:, column] = is_moved
        starts[:, 2] = starts[:, 6] = segments.texts
        lengths[:, 2] = np.where(is_moved & ~is_suffix_first, prefixes, 0)
        lengths[:, 6] = np.where(is_moved & is_suffix_first, prefixes, 0)
        starts[:, 4] = plan.suffixes
        lengths[:, 4] = np.where(is_moved, segments.ends - plan.suffixes, 0)
        starts[:, 7] = plan.middles
        lengths[:, 7] = np.where(is_moved, plan.suffixes - plan.middles, 0)
        starts[:, 8] = source.specials + END_OF_TEXT
        lengths[:, 8] = is_moved & needs_mark
        starts[:, 9] = source.filling
        written_W = np.bincount(segments.rows, weights=lengths.sum(axis=1), minlength=num_windows)
        lengths[is_last, 9] = self.tokens_read - written_W.astype(np.int64)
        return source.spliced(starts.ravel(), lengths.ravel()).reshape(num_windows, -1)

    def _plan(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> _Plan:
        """Draw which segments are rearranged and where they are cut."""
        segments = _segments(tokens_WR, sample_keys(seed, Use.MIDDLE, samples)[:, 0])
        is_moved = segments.draw(_Draw.IS_MOVED) < self.objective.rate
        is_moved &= segments.ends - segments.texts >= _SHORTEST
        within = self.objective.within_words
        first_within = segments.draw(_Draw.FIRST_IS_WITHIN_A_WORD) < within
        second_within = segments.draw(_Draw.SECOND_IS_WITHIN_A_WORD) < within
        needed = np.where(is_moved, 3 + first_within.astype(np.int64) + second_within, 0)
        segments = _shortened(tokens_WR, segments, needed)
        is_moved &= segments.ends > segments.texts

        longest = max(_LONGEST_WORD, self.context_length // _LONGEST_WORD_SHARE)
        words = word_starts(tokens_WR, segments.starts, self.vocabulary, longest=longest)
        flat = tokens_WR.ravel()
        length = segments.ends - segments.texts
        one = segments.texts + (segments.draw(_Draw.ONE_PLACE) * (length + 1)).astype(np.int64)
        other = segments.texts + (segments.draw(_Draw.OTHER_PLACE) * (length + 1)).astype(np.int64)
        begin = self._cut(
            flat, segments, words, np.minimum(one, other),
            characters=np.where(first_within, segments.draw(_Draw.FIRST_CHARACTER), -1),
        )  # fmt: skip
        end = self._cut(
            flat, segments, words, np.maximum(one, other),
            characters=np.where(second_within, segments.draw(_Draw.SECOND_CHARACTER), -1),
        )  # fmt: skip
        begin, end = _apart(begin, end, segments, words)
        return self._split_tokens(flat, segments, is_moved, begin, end)

    def _cut(
        self,
        flat: NDArray[np.int64],
        segments: _Segments,
        words: NDArray[np.int64],
        places: NDArray[np.int64],
        *,
        characters: NDArray[np.float64],
    ) -> _Cuts:
        """Cut within the tokens at ``places``, or at the next word where that is not wanted.

        Args:
            flat: the tokens of all windows.
            segments: what is cut.
            words: where words begin.
            places: from the beginning of each segment's text to its end, [G].
            characters: a drawn number that chooses among the ways to cut the token; -1: at a word.
        """
        tokens = flat[np.minimum(places, len(flat) - 1)]
        offsets = self._halves.offsets
        num_ways = np.where(places < segments.ends, offsets[tokens + 1] - offsets[tokens], 0)
        is_within = (characters >= 0) & (num_ways > 0)
        ways = offsets[tokens] + (characters.clip(0) * num_ways).astype(np.int64)
        return _Cuts(
            places=np.where(is_within, places, _next_word(places, segments, words)),
            characters=np.where(is_within, ways, -1),
        )

    def _split_tokens(
        self,
        flat: NDArray[np.int64],
        segments: _Segments,
        is_moved: NDArray[np.bool_],
        begin: _Cuts,
        end: _Cuts,
    ) -> _Plan:
        """Put the halves of a cut token in its place."""
        places = np.concatenate([begin.places[is_moved], end.places[is_moved]])
        ways = np.concatenate([begin.characters[is_moved], end.characters[is_moved]])
        order = np.argsort(places[ways >= 0])
        places, ways = places[ways >= 0][order], ways[ways >= 0][order]
        counts = np.ones(len(flat), dtype=np.int64)
        counts[places] = 2
        tokens = np.repeat(flat, counts)
        lefts = places + np.arange(len(places))
        tokens[lefts] = self._halves.lefts[ways]
        tokens[lefts + 1] = self._halves.rights[ways]

        def moved(old: NDArray[np.int64]) -> NDArray[np.int64]:
            return old + np.searchsorted(places, old)

        return _Plan(
            tokens=tokens,
            segments=replace(
                segments,
                starts=moved(segments.starts),
                texts=moved(segments.texts),
                ends=moved(segments.ends),
            ),
            is_moved=is_moved,
            middles=moved(begin.places) + (begin.characters >= 0),
            suffixes=moved(end.places) + (end.characters >= 0),
        )

    @cached_property
    def _halves(self) -> _Halves:
        """Every way to cut a token between two characters of a word into two tokens."""
        vocabulary = self.vocabulary
        ordinary = np.flatnonzero(~vocabulary.is_special).tolist()
        id_of = {vocabulary.token_bytes(id_): id_ for id_ in reversed(ordinary)}
        in_word = vocabulary.holds_word_byte
        offsets, lefts, rights = [0], [], []
        for id_ in range(vocabulary.size):
            for left, right in _ways_to_cut(vocabulary.token_bytes(id_)):
                first, second = id_of.get(left), id_of.get(right)
                if first is not None and second is not None and in_word[first] and in_word[second]:
                    lefts.append(first)
                    rights.append(second)
            offsets.append(len(lefts))
        return _Halves(*(np.array(part, dtype=np.int64) for part in (offsets, lefts, rights)))


def _segments(tokens_WR: NDArray[np.int64], keys_W: NDArray[np.uint64]) -> _Segments:
    """The parts of documents in some windows; what fills a window up is in none."""
    num_windows, num_read = tokens_WR.shape
    starts = segment_starts(tokens_WR)
    rows = starts // num_read
    firsts = np.searchsorted(rows, np.arange(num_windows))
    # only the end of a window is ever filled up
    row_ends_W = np.arange(num_windows) * num_read + (tokens_WR != PAD).sum(axis=1)
    return _Segments(
        rows=rows,
        keys=keys_W[rows],
        numbers=np.arange(len(starts)) - firsts[rows],
        starts=starts,
        texts=starts + (tokens_WR.ravel()[starts] == END_OF_TEXT),
        ends=np.minimum(np.append(starts[1:], tokens_WR.size), row_ends_W[rows]),
    )


def _shortened(
    tokens_WR: NDArray[np.int64], segments: _Segments, needed: NDArray[np.int64]
) -> _Segments:
    """Cut so much off the windows' ends that the control tokens of the moved segments fit in."""
    num_windows, num_read = tokens_WR.shape
    needed_W = np.bincount(segments.rows, weights=needed, minlength=num_windows).astype(np.int64)
    # and an `<|endoftext|>` behind the last segment
    row_ends_W = np.arange(1, num_windows + 1) * num_read - needed_W - (needed_W > 0)
    limits = row_ends_W[segments.rows]
    return replace(
        segments,
        starts=np.minimum(segments.starts, limits),
        texts=np.minimum(segments.texts, limits),
        ends=np.minimum(segments.ends, limits),
    )


def _next_word(
    places: NDArray[np.int64], segments: _Segments, words: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The first place from each of ``places`` on where its segment may be cut.

    That is where the text begins, a word that is not the first, or where the text ends.
    """
    beyond = np.append(words, np.iinfo(np.int64).max)
    following = np.minimum(beyond[np.searchsorted(words, places)], segments.ends)
    return np.where(places == segments.texts, places, following)


def _apart(
    begin: _Cuts, end: _Cuts, segments: _Segments, words: NDArray[np.int64]
) -> tuple[_Cuts, _Cuts]:
    """Move cuts that leave nothing between them: a middle holds a word, or a piece of one."""
    at_end = begin.places >= segments.ends
    before = np.searchsorted(words, segments.ends) - 1
    last_words = np.where(before >= 0, words[before] if len(words) else 0, 0)
    begin = _Cuts(
        places=np.where(at_end, np.maximum(last_words, segments.texts), begin.places),
        characters=np.where(at_end, -1, begin.characters),
    )
    is_empty = end.order <= begin.order
    return begin, _Cuts(
        places=np.where(is_empty, _next_word(begin.places + 1, segments, words), end.places),
        characters=np.where(is_empty, -1, end.characters),
    )


def _ways_to_cut(token: bytes) -> list[tuple[bytes, bytes]]:
    """A token's text before and after each of its characters but the first."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return []
    return [(text[:place].encode(), text[place:].encode()) for place in range(1, len(text))]
