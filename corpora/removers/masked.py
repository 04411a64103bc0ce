"""Masked language modelling: whole words are removed anywhere and predicted from both sides.

Shape suffixes: W windows, T context length and tokens read for a window, K removed tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.objectives import MaskedObjective
from corpora.counter_random import Use, random_bits, sample_keys
from corpora.removers.framing import framed
from corpora.removers.samples import NOWHERE, Reading, Samples
from corpora.removers.words import break_long_words
from corpora.vocabulary import CLS, MASK, PAD, Vocabulary

# A token's turn to be removed is one number of 64 bits: its class, the random number of its word,
# its place in the window. Sorting these gives whole words in random order, class by class.
_POSITION_BITS: Final = np.uint64(20)
_POSITION: Final = np.uint64(2**20 - 1)
_WORD_NUMBER: Final = np.uint64(2**62 - 2**20)
_WORD, _OTHER, _CUT, _NEVER = (np.uint64(number << 62) for number in range(4))

_SHARE_MASKED, _SHARE_MASKED_OR_RANDOM = 0.8, 0.9


@dataclass(frozen=True)
class MaskedRemover:
    """Words are removed anywhere and predicted from both sides (arXiv 1810.04805).

    A window reads T tokens. The first and the last of them belong to the neighbours: `[CLS]` and
    `[SEP]` take their places (:mod:`corpora.removers.framing`). The two neighbours also tell
    whether the window cuts a word.

    Words are drawn in random order until ``rate`` of the window is removed, which is the same
    number of tokens, K, in every full window. A last word that does not fit any more is left in
    place and its places in the answer are padding, which ``loss_mask`` excludes; of a word that is
    longer than all that may go, characters are removed. Tokens without a letter or digit go when a
    window's words do not suffice, pieces of words that the window cuts when there is nothing else;
    special tokens never. Without ``whole_words`` every token is a word of its own.
    """

    context_length: int
    objective: MaskedObjective
    vocabulary: Vocabulary

    @property
    def tokens_read(self) -> int:
        """A window, whose ends overlap its neighbours."""
        return self.context_length

    @property
    def stride(self) -> int:
        """What stands between `[CLS]` and `[SEP]`."""
        return self.context_length - 2

    @property
    def num_removed(self) -> int:
        """Places in the answer (K)."""
        return self._quota(self.context_length)

    @property
    def num_labels(self) -> int | None:
        """One for each place in the answer."""
        return self.num_removed

    def remove(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> Samples:
        """Remove words from each window, other ones for every sample index."""
        quotas_W = self._quotas(tokens_WR)
        order_WT = self._order(tokens_WR, quotas_W=quotas_W, seed=seed, samples=samples)
        positions_WK = self._first_whole_words(order_WT, quotas_W=quotas_W)
        is_padding_WK = positions_WK == NOWHERE
        # one index into all windows: as fast as twice that of rows and columns
        places_WK = positions_WK + np.arange(0, tokens_WR.size, tokens_WR.shape[1])[:, None]
        labels_WK = tokens_WR.take(places_WK)
        labels_WK[is_padding_WK] = PAD
        gaps_WK = self._replacements(labels_WK, positions_WK, seed=seed, samples=samples)
        gaps_WK[is_padding_WK] = CLS
        input_ids_WT = framed(tokens_WR)
        input_ids_WT.put(places_WK, gaps_WK)
        return Samples(
            input_ids=input_ids_WT,
            labels=labels_WK,
            positions=positions_WK,
            loss_mask=~is_padding_WK,
        )

    def read(
        self, tokens_WR: NDArray[np.int64], *, seed: int, samples: NDArray[np.int64]
    ) -> list[Reading]:
        """Each window with a gap for every removed word."""
        made = self.remove(tokens_WR, seed=seed, samples=samples)
        assert made.positions is not None
        return [
            Reading(tokens_T, gaps=self._words_among(positions_K[counts_K], tokens_T))
            for tokens_T, positions_K, counts_K in zip(
                framed(tokens_WR), made.positions, made.loss_mask, strict=True
            )
        ]

    def _words_among(
        self, positions: NDArray[np.int64], tokens_T: NDArray[np.int64]
    ) -> tuple[tuple[int, int], ...]:
        """The first and the last token of each removed word."""
        words: list[tuple[int, int]] = []
        for position in positions.tolist():
            goes_on = (
                self.vocabulary.begins_with_word_byte[tokens_T[position]]
                and self.vocabulary.ends_with_word_byte[tokens_T[position - 1]]
            )
            if words and words[-1][1] == position - 1 and goes_on:
                words[-1] = (words[-1][0], position)
            else:
                words.append((position, position))
        return tuple(words)

    def _quota(self, num_tokens: int) -> int:
        return max(1, round(self.objective.rate * num_tokens))

    def _quotas(self, tokens_WT: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many tokens each window loses, [W]: fewer than K only if it is filled up."""
        quotas_W = np.full(len(tokens_WT), self.num_removed)
        for row in np.flatnonzero(tokens_WT[:, -1] == PAD):
            quotas_W[row] = self._quota(int((tokens_WT[row] != PAD).sum()))
        return quotas_W

    def _order(
        self,
        tokens_WT: NDArray[np.int64],
        *,
        quotas_W: NDArray[np.int64],
        seed: int,
        samples: NDArray[np.int64],
    ) -> NDArray[np.uint64]:
        """Each token's number in the order of removal, [W, T]: class, word, position."""
        places_T = np.arange(tokens_WT.shape[1], dtype=np.uint64)
        order_WT = random_bits(sample_keys(seed, Use.WORD_ORDER, samples), places_T)
        order_WT &= _WORD_NUMBER
        order_WT |= self._classes.take(tokens_WT)
        if self.objective.whole_words:
            order_WT = _of_first_tokens(order_WT, self._is_word_start(tokens_WT, quotas_W))
        order_WT[:, 0] |= _NEVER
        order_WT[:, -1] |= _NEVER
        order_WT |= places_T
        return order_WT

    @cached_property
    def _classes(self) -> NDArray[np.uint64]:
        """The class of each id by itself, [vocabulary]."""
        is_word = self.vocabulary.holds_word_byte | (not self.objective.whole_words)
        classes = np.where(is_word, _WORD, _OTHER)
        classes[self.vocabulary.is_special] = _NEVER
        return classes

    def _is_word_start(
        self, tokens_WT: NDArray[np.int64], quotas_W: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether a word begins with a token, [W, T]; the first of a window always does."""
        goes_on_WT = self.vocabulary.begins_with_word_byte.take(tokens_WT)
        goes_on_WT[:, 1:] &= self.vocabulary.ends_with_word_byte.take(tokens_WT)[:, :-1]
        goes_on_WT[:, 0] = False
        is_start_WT = np.logical_not(goes_on_WT, out=goes_on_WT)
        break_long_words(is_start_WT, tokens_WT, self.vocabulary, longest=quotas_W)
        return is_start_WT

    def _first_whole_words(
        self, order_WT: NDArray[np.uint64], *, quotas_W: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The places of the first words that fit the quota, ascending, [W, K]; `NOWHERE` pads."""
        num_removed = self.num_removed
        # the first that stays is in its place, and nothing before it comes after it
        order_WT.partition(num_removed, axis=1)
        ordered_WT = order_WT[:, : num_removed + 1]
        for row in np.flatnonzero(quotas_W < num_removed):
            ordered_WT[row].sort()
        words_WT = ordered_WT >> _POSITION_BITS
        is_first_WK = np.arange(num_removed) < quotas_W[:, None]
        last_W1 = words_WT[:, :num_removed].max(axis=1, keepdims=True, where=is_first_WK, initial=0)
        beyond_W1 = np.take_along_axis(words_WT, quotas_W[:, None], axis=1)
        is_only_W1 = words_WT.min(axis=1, keepdims=True) == last_W1
        does_not_fit_W1 = (last_W1 == beyond_W1) & ~is_only_W1
        first_WK = ordered_WT[:, :num_removed]
        stays_WK = does_not_fit_W1 & (words_WT[:, :num_removed] == last_W1)
        stays_WK |= ~is_first_WK
        stays_WK |= first_WK >= _NEVER
        positions_WK = (first_WK & _POSITION).astype(np.uint32)  # sorted in half of the time
        positions_WK[stays_WK] = NOWHERE
        positions_WK.sort(axis=1)
        return positions_WK.astype(np.int64)

    def _replacements(
        self,
        labels_WK: NDArray[np.int64],
        positions_WK: NDArray[np.int64],
        *,
        seed: int,
        samples: NDArray[np.int64],
    ) -> NDArray[np.int64]:
        """What stands in the gaps, [W, K]."""
        masks_WK = np.full_like(labels_WK, MASK)
        if self.objective.replacement == "mask":
            return masks_WK
        bits_WK = random_bits(
            sample_keys(seed, Use.REPLACEMENT, samples), positions_WK.astype(np.uint64)
        )
        share_WK = (bits_WK >> np.uint64(32)) / 2.0**32
        ordinary = np.flatnonzero(~self.vocabulary.is_special)
        random_WK = ordinary[(bits_WK & np.uint64(2**32 - 1)) % np.uint64(len(ordinary))]
        return np.where(
            share_WK < _SHARE_MASKED,
            masks_WK,
            np.where(share_WK < _SHARE_MASKED_OR_RANDOM, random_WK, labels_WK),
        )


def _of_first_tokens(
    order_WT: NDArray[np.uint64], is_start_WT: NDArray[np.bool_]
) -> NDArray[np.uint64]:
    """Give each token the class and the random number of its word's first one, [W, T].

    What the window cuts, its first word and its last one, comes late.
    """
    words_WT = np.cumsum(is_start_WT, dtype=np.int32).reshape(is_start_WT.shape)
    words_WT -= 1
    numbers = order_WT.take(np.flatnonzero(is_start_WT))
    is_cut = np.concatenate((words_WT[:, 0], words_WT[:, -1]))
    cut = numbers[is_cut]
    numbers[is_cut] = np.where(cut >= _NEVER, cut, cut & _WORD_NUMBER | _CUT)
    return numbers.take(words_WT)
