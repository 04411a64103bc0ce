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
        loss_mask_WK = positions_WK != NOWHERE
        labels_WK = np.take_along_axis(tokens_WR, positions_WK, axis=1)
        labels_WK[~loss_mask_WK] = PAD
        gaps_WK = self._replacements(labels_WK, positions_WK, seed=seed, samples=samples)
        gaps_WK[~loss_mask_WK] = CLS
        input_ids_WT = framed(tokens_WR)
        np.put_along_axis(input_ids_WT, positions_WK, gaps_WK, axis=1)
        return Samples(
            input_ids=input_ids_WT,
            labels=labels_WK,
            positions=positions_WK,
            loss_mask=loss_mask_WK,
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
        classes_WT = self._classes[tokens_WT]
        if self.objective.whole_words:
            word_starts_WT = self._word_starts(tokens_WT, quotas_W)
            _lower(classes_WT, word_starts_WT)
            order_WT = random_bits(sample_keys(seed, Use.WORD_ORDER, samples), word_starts_WT)
        else:
            order_WT = random_bits(sample_keys(seed, Use.WORD_ORDER, samples), places_T)
        classes_WT[:, 0] = classes_WT[:, -1] = _NEVER
        order_WT &= _WORD_NUMBER
        order_WT |= classes_WT
        order_WT |= places_T
        return order_WT

    @cached_property
    def _classes(self) -> NDArray[np.uint64]:
        """The class of each id by itself, [vocabulary]."""
        is_word = self.vocabulary.holds_word_byte | (not self.objective.whole_words)
        classes = np.where(is_word, _WORD, _OTHER)
        classes[self.vocabulary.is_special] = _NEVER
        return classes

    def _word_starts(
        self, tokens_WT: NDArray[np.int64], quotas_W: NDArray[np.int64]
    ) -> NDArray[np.uint64]:
        """The place where each token's word begins, [W, T]."""
        is_start_WT = ~self.vocabulary.begins_with_word_byte[tokens_WT]
        is_start_WT[:, 1:] |= ~self.vocabulary.ends_with_word_byte[tokens_WT[:, :-1]]
        is_start_WT[:, 0] = True
        break_long_words(is_start_WT, tokens_WT, self.vocabulary, longest=quotas_W)
        places_T = np.arange(tokens_WT.shape[1], dtype=np.uint32)
        starts_WT = np.where(is_start_WT, places_T, np.uint32(0))
        return np.maximum.accumulate(starts_WT, axis=1).astype(np.uint64)

    def _first_whole_words(
        self, order_WT: NDArray[np.uint64], *, quotas_W: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The places of the first words that fit the quota, ascending, [W, K]; `NOWHERE` pads."""
        num_removed = self.num_removed
        ordered_WT = np.partition(order_WT, num_removed, axis=1)[:, : num_removed + 1]
        ordered_WT.sort(axis=1)
        words_WT = ordered_WT >> _POSITION_BITS
        last_W1 = np.take_along_axis(words_WT, quotas_W[:, None] - 1, axis=1)
        beyond_W1 = np.take_along_axis(words_WT, quotas_W[:, None], axis=1)
        does_not_fit_W1 = (last_W1 == beyond_W1) & (words_WT[:, :1] != last_W1)
        first_WK = ordered_WT[:, :num_removed]
        dropped_WK = np.arange(num_removed) >= quotas_W[:, None]
        dropped_WK |= first_WK >= _NEVER
        dropped_WK |= does_not_fit_W1 & (words_WT[:, :num_removed] == last_W1)
        positions_WK = (first_WK & _POSITION).astype(np.int64)
        positions_WK[dropped_WK] = NOWHERE
        positions_WK.sort(axis=1)
        return positions_WK

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


def _lower(classes_WT: NDArray[np.uint64], word_starts_WT: NDArray[np.uint64]) -> None:
    """Give each token the class of its word's first one; what the window cuts comes late."""
    classes_WT[:] = np.take_along_axis(classes_WT, word_starts_WT.astype(np.int64), axis=1)
    is_cut_WT = (word_starts_WT == 0) | (word_starts_WT == word_starts_WT[:, -1:])
    is_cut_WT &= classes_WT != _NEVER
    classes_WT[is_cut_WT] = _CUT
