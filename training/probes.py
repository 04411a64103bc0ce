"""Probes: a job's own prompts and blanks, put to the model at every evaluation.

Their answers are kept, so that one can read how a model learns. Nothing is drawn: a decoder takes
the likeliest token each time, and so do the fillings of a blank.

Shape suffixes: B sequences, T tokens of a sequence, K gaps of a sequence, V vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from core.spec import JobSpec
from corpora.vocabulary import CLS, END_OF_TEXT, MASK, PAD, SEP, SPECIAL_TOKENS, Vocabulary
from training.evaluation import LanguageModel
from training.ports import Candidate, Continuation, Filling

NEW_TOKENS: Final = 32
NUM_CANDIDATES: Final = 5
GAP: Final = "____"

_LENGTH_MULTIPLE: Final = 64
_GAP_PATTERN: Final = re.compile(rf"( ?)(?:_{{4,}}|{re.escape(SPECIAL_TOKENS[MASK])})")


def probe(
    model: LanguageModel,
    *,
    spec: JobSpec,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    device: torch.device,
) -> tuple[list[Continuation], list[Filling]]:
    """Put the spec's prompts to a decoder, or its blanks to an encoder."""
    length = spec.model.context_length
    if spec.model.architecture == "decoder":
        continuations = _continue(
            model,
            spec.evaluation.prompts,
            tokenizer=tokenizer,
            vocabulary=vocabulary,
            context_length=length,
            device=device,
        )
        return continuations, []
    filler = _Filler(model, tokenizer, vocabulary, length, device)
    return [], [filler.fill(blank) for blank in spec.evaluation.blanks]


@torch.no_grad()
def _continue(
    model: LanguageModel,
    prompts: Sequence[str],
    *,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    context_length: int,
    device: torch.device,
) -> list[Continuation]:
    """What a decoder writes after each prompt, up to ``NEW_TOKENS`` or its end of text."""
    if not prompts:
        return []
    num_new = min(NEW_TOKENS, context_length // 2)
    encoded = [
        # the beginning of a document, as in training; of a long prompt the end counts
        [END_OF_TEXT, *tokenizer.encode(prompt, add_special_tokens=False).ids][
            -(context_length - num_new) :
        ]
        for prompt in prompts
    ]
    lengths_B = torch.tensor([len(ids) for ids in encoded], device=device)
    longest = int(lengths_B.max()) + num_new
    # one shape for all steps; a causal model never sees the padding behind the text
    length = min(context_length, -(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE)
    ids_BT = torch.full((len(encoded), length), PAD, device=device)
    for row, ids in enumerate(encoded):
        ids_BT[row, : len(ids)] = torch.tensor(ids, device=device)
    forbidden_V = torch.from_numpy(vocabulary.is_special.copy()).to(device)
    forbidden_V[END_OF_TEXT] = False
    rows_B = torch.arange(len(encoded), device=device)
    for step in range(num_new):
        last_B1 = (lengths_B + step - 1)[:, None]
        logits_BV = model.logits(ids_BT, positions=last_B1)[:, 0]
        ids_BT[rows_B, lengths_B + step] = logits_BV.masked_fill(forbidden_V, -torch.inf).argmax(-1)
    return [
        Continuation(prompt, _written(ids_BT[row, len(ids) : len(ids) + num_new], tokenizer))
        for row, (prompt, ids) in enumerate(zip(prompts, encoded, strict=True))
    ]


def _written(new_ids: Tensor, tokenizer: Tokenizer) -> str:
    """The text of new tokens before the first `<|endoftext|>`."""
    ids: list[int] = new_ids.tolist()
    if END_OF_TEXT in ids:
        ids = ids[: ids.index(END_OF_TEXT)]
    text: str = tokenizer.decode(ids)
    return text


@dataclass(frozen=True)
class _Filler:
    """Fills gaps with the words that an encoder finds likeliest.

    A word is one token. Where a gap follows a space, the space is part of the word, as it is part
    of the token: the mask stands for both.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    context_length: int
    device: torch.device

    def fill(self, blank: str) -> Filling:
        """Fill the gaps of a sentence, each while the others are open too."""
        gaps = list(_GAP_PATTERN.finditer(blank))
        spaced = [bool(gap[1]) for gap in gaps]
        candidates = self._candidates(_GAP_PATTERN.split(blank)[::2], spaced) if gaps else []
        best = iter(words[0].text if words else GAP for words in candidates)
        return Filling(
            blank=_GAP_PATTERN.sub(rf"\g<1>{GAP}", blank),
            text=_GAP_PATTERN.sub(lambda gap: gap[1] + next(best), blank),
            candidates=candidates,
        )

    @torch.no_grad()
    def _candidates(self, parts: list[str], spaced: list[bool]) -> list[list[Candidate]]:
        """The likeliest words for each gap between these parts of a sentence."""
        ids, places = self._masked_ids(parts)
        found: list[list[Candidate]] = []
        for place, after_space in zip(places, spaced, strict=True):
            around, position = self._window(ids, place)
            logits_11V = self.model.logits(
                torch.tensor([around], device=self.device),
                positions=torch.tensor([[position]], device=self.device),
            )
            probabilities_V = logits_11V[0, 0].float().softmax(-1).cpu().numpy()
            found.append(self._best(probabilities_V, after_space=after_space))
        return found

    def _masked_ids(self, parts: list[str]) -> tuple[list[int], list[int]]:
        """The sentence's tokens with a mask for each gap, and the places of the masks."""
        ids: list[int] = []
        places: list[int] = []
        for number, part in enumerate(parts):
            if number:
                places.append(len(ids))
                ids.append(MASK)
            ids += self.tokenizer.encode(part, add_special_tokens=False).ids
        return ids, places

    def _window(self, ids: list[int], place: int) -> tuple[list[int], int]:
        """As much around ``place`` as the context holds, framed, and where the place is now."""
        room = self.context_length - 2
        start = max(0, min(place - room // 2, len(ids) - room))
        return [CLS, *ids[start : start + room], SEP], place - start + 1

    def _best(self, probabilities_V: NDArray[np.float32], *, after_space: bool) -> list[Candidate]:
        words = self._words_after_space if after_space else self._words
        order = np.argsort(-probabilities_V[words], kind="stable")[:NUM_CANDIDATES]
        return [
            Candidate(
                text=self.vocabulary.token_bytes(int(id_)).decode().removeprefix(" "),
                probability=float(probabilities_V[id_]),
            )
            for id_ in words[order]
        ]

    @cached_property
    def _words(self) -> NDArray[np.int64]:
        """Tokens that are a word as they are."""
        return self._tokens_of_words("")

    @cached_property
    def _words_after_space(self) -> NDArray[np.int64]:
        """Tokens that are a word behind a space."""
        return self._tokens_of_words(" ")

    def _tokens_of_words(self, before: str) -> NDArray[np.int64]:
        texts = (
            self.vocabulary.token_bytes(id_).decode(errors="replace")
            for id_ in range(self.vocabulary.size)
        )
        return np.array(
            [
                id_
                for id_, text in enumerate(texts)
                if text.startswith(before) and text.removeprefix(before).isalnum()
            ],
            dtype=np.int64,
        )
