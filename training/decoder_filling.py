"""What a decoder that was trained to fill puts into the gaps of a sentence.

Shape suffixes: B sequences, T tokens of a sequence, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from core.objectives import FillingObjective, FillInTheMiddleObjective
from corpora.vocabulary import (
    END_OF_TEXT,
    FIM_MIDDLE,
    FIM_PREFIX,
    FIM_SUFFIX,
    FIRST_SENTINEL,
    NUM_SENTINELS,
    PAD,
    SEP,
    Vocabulary,
)
from training.blanks import GAP, Blank
from training.evaluation import Scorer
from training.ports import Candidate, Filling

NUM_CANDIDATES: Final = 5
MOST_TOKENS: Final = 8
"""Of what is put into a gap; a decoder that has not ended by then is cut off."""


@dataclass(frozen=True)
class DecoderFiller:
    """Asks for each gap as the objective has taught it, from left to right.

    Each of the likeliest first tokens is gone on with by the likeliest token each time, until the
    model ends the filling; the probability is that of all these tokens and the end. Earlier gaps
    hold their best filling by then. For `fill_in_the_middle`, which knows one gap, the sentence
    ends before the next one.
    """

    model: Scorer
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    context_length: int
    device: torch.device
    objective: FillingObjective

    def fill(self, sentence: str) -> Filling:
        """Fill the gaps of a sentence."""
        blank = Blank.of(sentence)
        best: list[str] = []
        candidates: list[list[Candidate]] = []
        for gap, after_space in enumerate(blank.after_space):
            if isinstance(self.objective, FillInTheMiddleObjective):
                prompt = self._ask_for_middle(blank.filled(best), blank.parts[gap + 1])
            else:
                prompt = self._ask_for_run(blank, best)
            words = self._candidates(prompt, after_space=after_space)
            candidates.append(words)
            best.append(words[0].text if words else GAP)
        return Filling(blank=blank.text, text=blank.filled(best), candidates=candidates)

    def _ask_for_middle(self, before: str, behind: str) -> list[int]:
        """What stands before the middle in training (``corpora.removers.fill_in_the_middle``)."""
        assert isinstance(self.objective, FillInTheMiddleObjective)
        room = (self.context_length - MOST_TOKENS - 4) // 2
        prefix, suffix = self._encode(before)[-room:], self._encode(behind)[:room]
        if self.objective.suffix_first < 1:
            return [END_OF_TEXT, FIM_PREFIX, *prefix, FIM_SUFFIX, *suffix, FIM_MIDDLE]
        return [END_OF_TEXT, FIM_PREFIX, FIM_SUFFIX, *suffix, FIM_MIDDLE, *prefix]

    def _ask_for_run(self, blank: Blank, best: Sequence[str]) -> list[int]:
        """What stands before a removed run in training (``corpora.removers.span_corruption``)."""
        sentinels = [FIRST_SENTINEL + k % NUM_SENTINELS for k in range(len(blank.after_space))]
        answer = [SEP]
        for sentinel, word, after_space in zip(sentinels, best, blank.after_space, strict=False):
            answer += [sentinel, *self._encode(" " + word if after_space else word)]
        answer.append(sentinels[len(best)])
        text = [END_OF_TEXT, *self._encode(blank.parts[0])]
        for sentinel, part in zip(sentinels, blank.parts[1:], strict=True):
            text += [sentinel, *self._encode(part)]
        return [*text, *answer][-(self.context_length - MOST_TOKENS) :]

    @torch.no_grad()
    def _candidates(self, prompt: Sequence[int], *, after_space: bool) -> list[Candidate]:
        """The likeliest fillings, best first."""
        num_prompt = len(prompt)
        ids_BT = torch.full((NUM_CANDIDATES, num_prompt + MOST_TOKENS), PAD, device=self.device)
        ids_BT[:, :num_prompt] = torch.tensor(prompt, device=self.device)
        logprobs_B = np.zeros(NUM_CANDIDATES)
        has_ended_B = np.zeros(NUM_CANDIDATES, dtype=np.bool_)
        written: list[list[int]] = [[] for _ in range(NUM_CANDIDATES)]
        for step in range(MOST_TOKENS):
            scores_BV = self._logprobs(ids_BT, num_prompt + step - 1)
            if step == 0:
                begins_V = self._begins_with_space == after_space
                scores_V = np.where(begins_V & ~self._is_end, scores_BV[0], -np.inf)
                next_B = np.argsort(-scores_V, kind="stable")[:NUM_CANDIDATES]
            else:
                next_B = scores_BV.argmax(axis=1)
            logprobs_B += np.where(has_ended_B, 0.0, scores_BV[np.arange(NUM_CANDIDATES), next_B])
            has_ended_B |= self._is_end[next_B]
            for row in np.flatnonzero(~has_ended_B):
                written[row].append(int(next_B[row]))
            if has_ended_B.all():
                break
            ids_BT[:, num_prompt + step] = torch.from_numpy(next_B).to(self.device)
        return [
            Candidate(
                text=self.tokenizer.decode(written[row]).removeprefix(" " if after_space else ""),
                probability=float(np.exp(logprobs_B[row])),
            )
            for row in np.argsort(-logprobs_B, kind="stable")
            if np.isfinite(logprobs_B[row])
        ]

    def _logprobs(self, ids_BT: torch.Tensor, place: int) -> NDArray[np.float64]:
        """Of every token behind ``place``, ``(B, V)``; no control token but an end is an answer."""
        positions_B1 = torch.full((len(ids_BT), 1), place, device=self.device)
        logits_BV = self.model.logits(ids_BT, positions=positions_B1)[:, 0]
        logprobs_BV: NDArray[np.float64] = logits_BV.double().log_softmax(-1).cpu().numpy()
        logprobs_BV[:, self.vocabulary.is_special & ~self._is_end] = -np.inf
        return logprobs_BV

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def _is_end(self) -> NDArray[np.bool_]:
        """Tokens that end a filling: of the text, or the sentinel of the next run, ``(V,)``."""
        is_end_V = np.zeros(self.vocabulary.size, dtype=np.bool_)
        is_end_V[END_OF_TEXT] = True
        if not isinstance(self.objective, FillInTheMiddleObjective):
            is_end_V[FIRST_SENTINEL : FIRST_SENTINEL + NUM_SENTINELS] = True
        return is_end_V

    @cached_property
    def _begins_with_space(self) -> NDArray[np.bool_]:
        """``(V,)``."""
        size = self.vocabulary.size
        return np.array([self.vocabulary.token_bytes(id_)[:1] == b" " for id_ in range(size)])
