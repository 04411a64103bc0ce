"""What an encoder puts into the gaps of a sentence.

Shape suffixes: B sequences, V vocabulary, N tokens of some kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from corpora.vocabulary import CLS, MASK, SEP, Vocabulary
from training.blanks import GAP, Blank
from training.evaluation import Scorer
from training.ports import Candidate, Filling

NUM_CANDIDATES: Final = 5
MOST_PIECES: Final = 3
"""Tokens of the longest word that is looked for."""


@dataclass(frozen=True, slots=True)
class _Word:
    """The beginning of a word, or a whole one."""

    tokens: tuple[int, ...]
    logprob: float


@dataclass(frozen=True)
class EncoderFiller:
    """Fills gaps with the words that an encoder finds likeliest.

    A word of one token has the probability that the softmax gives it at a mask in the gap. A word
    of several tokens is asked for with as many masks, from left to right: each of its tokens is
    guessed while those to its right are still masked, and the probabilities are multiplied
    (PLL-word-l2r, arXiv 2305.10588).
    """

    model: Scorer
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    context_length: int
    device: torch.device

    def fill(self, sentence: str) -> Filling:
        """Fill the gaps of a sentence, each while the others are open too, one mask each."""
        blank = Blank.of(sentence)
        encoded = [
            self.tokenizer.encode(part, add_special_tokens=False).ids for part in blank.parts
        ]
        candidates = [
            self._candidates(encoded, gap=gap, after_space=after_space)
            for gap, after_space in enumerate(blank.after_space)
        ]
        best = [words[0].text if words else GAP for words in candidates]
        return Filling(blank=blank.text, text=blank.filled(best), candidates=candidates)

    @torch.no_grad()
    def _candidates(
        self, encoded: Sequence[Sequence[int]], *, gap: int, after_space: bool
    ) -> list[Candidate]:
        """The likeliest words for one of the gaps between these parts of a sentence."""
        found = [
            word
            for num_pieces in range(1, MOST_PIECES + 1)
            for word in self._words_of(encoded, gap, num_pieces, after_space=after_space)
            if np.isfinite(word.logprob)  # of weights that are lost, nothing is
        ]
        found.sort(key=lambda word: -word.logprob)  # stable: equals in the order of their lengths
        return [
            Candidate(
                text=self._text(word).removeprefix(" "), probability=float(np.exp(word.logprob))
            )
            for word in found[:NUM_CANDIDATES]
        ]

    def _words_of(
        self, encoded: Sequence[Sequence[int]], gap: int, num_pieces: int, *, after_space: bool
    ) -> Iterator[_Word]:
        """The likeliest words of so many tokens; a beam keeps the likeliest beginnings."""
        if self.context_length - 2 < num_pieces:
            return
        beam = [_Word((), 0.0)]
        for place in range(num_pieces):
            allowed_N = self._firsts[after_space] if place == 0 else self._firsts[False]
            logprobs_BV = self._logprobs(encoded, gap, num_pieces, [word.tokens for word in beam])
            longer = [
                _Word((*word.tokens, int(token)), word.logprob + float(logprobs_V[token]))
                for word, logprobs_V in zip(beam, logprobs_BV, strict=True)
                for token in _likeliest(logprobs_V, allowed_N)
            ]
            beam = sorted(longer, key=lambda word: -word.logprob)[:NUM_CANDIDATES]
        yield from (word for word in beam if num_pieces == 1 or self._is_written_so(word))

    def _logprobs(
        self,
        encoded: Sequence[Sequence[int]],
        gap: int,
        num_pieces: int,
        beginnings: Sequence[tuple[int, ...]],
    ) -> NDArray[np.float64]:
        """Of every token behind each of the beginnings, ``(B, V)``."""
        left = _joined(encoded[: gap + 1])
        right = [MASK] * (num_pieces - len(beginnings[0]) - 1) + _joined(encoded[gap + 1 :])
        windows = [self._window([*left, *begun, MASK, *right], len(left)) for begun in beginnings]
        position = windows[0][1] + len(beginnings[0])
        logits_B1V = self.model.logits(
            torch.tensor([ids for ids, _ in windows], device=self.device),
            positions=torch.full((len(windows), 1), position, device=self.device),
        )
        return logits_B1V[:, 0].double().log_softmax(-1).cpu().numpy()

    def _window(self, ids: list[int], place: int) -> tuple[list[int], int]:
        """As much around ``place`` as the context holds, framed, and where the place is now."""
        room = self.context_length - 2
        start = max(0, min(place - room // 2, len(ids) - room))
        return [CLS, *ids[start : start + room], SEP], place - start + 1

    def _is_written_so(self, word: _Word) -> bool:
        """Whether the tokenizer writes the word with these tokens: the model has seen no others."""
        text = self._text(word)
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids == list(word.tokens)

    def _text(self, word: _Word) -> str:
        return b"".join(map(self.vocabulary.token_bytes, word.tokens)).decode()

    @cached_property
    def _firsts(self) -> dict[bool, NDArray[np.int64]]:
        """Tokens of letters and digits that begin with a space, and those that do not."""
        texts = [
            self.vocabulary.token_bytes(id_).decode(errors="replace")
            for id_ in range(self.vocabulary.size)
        ]
        return {
            after_space: np.array(
                [
                    id_
                    for id_, text in enumerate(texts)
                    if text.startswith(before) and text.removeprefix(before).isalnum()
                ],
                dtype=np.int64,
            )
            for after_space, before in ((True, " "), (False, ""))
        }


def _likeliest(logprobs_V: NDArray[np.float64], allowed_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """The best of some tokens; stable, so that ties are decided by the id on every machine."""
    order = np.argsort(-logprobs_V[allowed_N], kind="stable")[:NUM_CANDIDATES]
    return allowed_N[order]


def _joined(parts: Sequence[Sequence[int]]) -> list[int]:
    """The parts with one mask in each gap between them."""
    joined = list(parts[0]) if parts else []
    for part in parts[1:]:
        joined += [MASK, *part]
    return joined
