"""What every remover promises."""

from __future__ import annotations

import numpy as np
import pytest

from core.objectives import (
    FillInTheMiddleObjective,
    MaskedObjective,
    SpanCorruptionObjective,
)
from corpora.removers.causal import CausalRemover
from corpora.removers.fill_in_the_middle import MiddleRemover
from corpora.removers.masked import MaskedRemover
from corpora.removers.mixed import MixedRemover
from corpora.removers.samples import Remover
from corpora.removers.span_corruption import SpanRemover
from corpora.vocabulary import END_OF_TEXT
from corpora.windows import TokenWindows
from tests.tiny_text import Stream, encode, stream, vocabulary

ODD_TEXTS = {
    "one token": "a",
    "no words": "... ?! \n\n --- ;; " * 20,
    "white space": " \n \t\n  " * 40,
    "no spaces": "\u6f22\u5b57" * 100,
    "one long word": "acgt" * 200,
    "digits": "31415926" * 60,
    "emoji": "\U0001f600\u2764\ufe0f\U0001f468\u200d\U0001f469 " * 30,
    "combining marks": "\u0939\u093f\u0928\u094d\u0926\u0940 " * 40,
}


def removers(context_length: int) -> dict[str, Remover]:
    causal = CausalRemover(context_length)
    words = vocabulary()
    masked = MaskedRemover(context_length, MaskedObjective(replacement="80-10-10"), words)
    spans = SpanRemover(context_length, SpanCorruptionObjective(), words)
    middles = MiddleRemover(
        context_length, FillInTheMiddleObjective(rate=0.7, within_words=0.5), words
    )
    mix = MixedRemover((causal, spans, middles), shares=(0.2, 0.4, 0.4))
    return {"causal": causal, "masked": masked, "spans": spans, "middles": middles, "mix": mix}


@pytest.mark.parametrize("name", removers(64))
def test_sample_is_the_same_alone_and_in_company(name: str) -> None:
    remover = removers(64)[name]
    tokens = TokenWindows(stream(), remover).read(np.arange(30))
    together = remover.remove(tokens, seed=9, samples=np.arange(30))
    for row in range(30):
        alone = remover.remove(tokens[row : row + 1], seed=9, samples=np.array([row]))
        assert np.array_equal(alone.input_ids[0], together.input_ids[row])
        assert np.array_equal(alone.labels[0], together.labels[row])
        assert np.array_equal(alone.loss_mask[0], together.loss_mask[row])


@pytest.mark.parametrize("name", ["masked", "spans", "middles", "mix"])
def test_other_seeds_and_other_samples_lose_other_words(name: str) -> None:
    remover = removers(64)[name]
    tokens = TokenWindows(stream(), remover).read(np.zeros(10, dtype=np.int64))
    first = remover.remove(tokens, seed=1, samples=np.arange(10))
    second = remover.remove(tokens, seed=2, samples=np.arange(10))
    assert len(np.unique(first.input_ids, axis=0)) > 4
    assert not np.array_equal(first.input_ids, second.input_ids)


@pytest.mark.parametrize("context_length", [16, 64])
@pytest.mark.parametrize("text", ODD_TEXTS)
@pytest.mark.parametrize("name", removers(64))
def test_any_text_gives_samples_of_one_shape_with_something_to_learn(
    name: str, text: str, context_length: int
) -> None:
    remover = removers(context_length)[name]
    windows = TokenWindows(Stream([END_OF_TEXT, *encode(ODD_TEXTS[text])]), remover)
    made = windows.samples(np.arange(20), seed=4)
    num_labels = remover.num_labels or context_length
    assert made.input_ids.shape == (20, context_length)
    assert made.labels.shape == made.loss_mask.shape == (20, num_labels)
    assert made.loss_mask.any(axis=1).all()
    assert 0 <= made.input_ids.min() <= made.input_ids.max() < vocabulary().size
    for reading in windows.readings(np.arange(20), seed=4):
        assert all(0 <= a <= b < len(reading.tokens) for a, b in reading.gaps)
