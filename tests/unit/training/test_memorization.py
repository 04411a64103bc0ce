from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.vocabulary import END_OF_TEXT
from tests.tiny_text import Stream, documents, stream_of, vocabulary
from training.memorization import (
    MOST_PASSAGES,
    PROMPT_TOKENS,
    SAID_TOKENS,
    can_be_measured,
    memorization_rate,
)

CPU = torch.device("cpu")
_SEEN = 32
"""Tokens by which the reciter finds its place; hardly any of them stand twice in a text."""


class Recites:
    """Knows a text by heart and goes on with it from wherever it stands."""

    def __init__(self, tokens: NDArray[np.int64]) -> None:
        self.num_passages = 0
        text: list[int] = tokens.tolist()
        self._next = {
            tuple(text[place - _SEEN : place]): text[place] for place in range(_SEEN, len(text))
        }

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        assert positions is not None
        self.num_passages += len(input_ids)
        assert input_ids.shape[1] == PROMPT_TOKENS + SAID_TOKENS - 1
        assert not (input_ids[:, 1:] == END_OF_TEXT).any()
        scores = torch.zeros(*positions.shape, vocabulary().size)
        for row, (ids, places) in enumerate(
            zip(input_ids.tolist(), positions.tolist(), strict=True)
        ):
            for column, place in enumerate(places):
                said = self._next.get(tuple(ids[place + 1 - _SEEN : place + 1]))
                if said is not None:
                    scores[row, column, said] = 1.0
        return scores


def text() -> Stream:
    return stream_of(*documents()[:12])


def test_reciter_of_everything_completes_every_passage() -> None:
    stream = text()
    model = Recites(stream.read(0, stream.num_tokens))
    rate = memorization_rate(model, stream, device=CPU)
    assert rate is not None
    assert rate > 0.97
    assert model.num_passages == MOST_PASSAGES


def test_rate_is_the_share_of_the_text_that_is_known_by_heart() -> None:
    stream = text()
    rate = memorization_rate(Recites(stream.read(0, stream.num_tokens // 4)), stream, device=CPU)
    assert rate is not None
    assert 0.15 < rate < 0.35


def test_one_wrong_token_is_enough() -> None:
    stream = text()
    tokens = stream.read(0, stream.num_tokens).copy()
    tokens[::25] = vocabulary().size - 1
    assert memorization_rate(Recites(tokens), stream, device=CPU) == 0.0


def test_documents_too_short_for_a_passage_are_not_judged() -> None:
    stream = stream_of(*["a short document"] * 100)
    model = Recites(stream.read(0, stream.num_tokens))
    assert memorization_rate(model, stream, device=CPU) is None
    assert memorization_rate(model, stream_of("a"), device=CPU) is None


def test_context_must_hold_a_passage() -> None:
    assert can_be_measured(context_length=99)
    assert not can_be_measured(context_length=98)
