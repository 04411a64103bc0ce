from __future__ import annotations

import numpy as np

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
from corpora.vocabulary import END_OF_TEXT, FIM_PREFIX, SEP
from corpora.windows import TokenWindows
from tests.tiny_text import stream, vocabulary

LENGTH = 64


def decoder_mix() -> MixedRemover:
    return MixedRemover(
        (
            CausalRemover(LENGTH),
            SpanRemover(LENGTH, SpanCorruptionObjective(), vocabulary()),
            MiddleRemover(LENGTH, FillInTheMiddleObjective(rate=1), vocabulary()),
        ),
        shares=(0.5, 0.3, 0.2),
    )


def test_each_part_gets_its_share_of_the_samples() -> None:
    made = TokenWindows(stream(), decoder_mix()).samples(np.arange(4000), seed=1)
    is_span = (made.input_ids == SEP).any(axis=1)
    is_middle = (made.input_ids == FIM_PREFIX).any(axis=1)
    assert abs(is_span.mean() - 0.3) < 0.03
    assert abs(is_middle.mean() - 0.2) < 0.03


def test_sample_is_what_its_part_alone_would_make_of_the_window() -> None:
    mix = decoder_mix()
    indices = np.arange(100)
    tokens = TokenWindows(stream(), mix).read(indices)
    mixed = mix.remove(tokens, seed=5, samples=indices)
    alone = [
        part.remove(tokens[:, : part.tokens_read], seed=5, samples=indices) for part in mix.parts
    ]
    used = set()
    for row in indices:
        (number,) = (
            k
            for k, one in enumerate(alone)
            if np.array_equal(one.input_ids[row], mixed.input_ids[row])
        )
        used.add(number)
        one = alone[number]
        counts = one.loss_mask[row]
        places = np.arange(LENGTH) if one.positions is None else one.positions[row]
        assert np.array_equal(np.flatnonzero(mixed.loss_mask[row]), places[counts])
        assert np.array_equal(mixed.labels[row][mixed.loss_mask[row]], one.labels[row][counts])
    assert used == {0, 1, 2}


def test_masked_parts_of_two_rates_share_one_shape() -> None:
    parts: tuple[Remover, ...] = tuple(
        MaskedRemover(LENGTH, MaskedObjective(rate=rate), vocabulary()) for rate in (0.15, 0.4)
    )
    mix = MixedRemover(parts, shares=(0.5, 0.5))
    made = TokenWindows(stream(), mix).samples(np.arange(200), seed=2)
    assert made.positions is not None
    assert made.labels.shape[1] == mix.num_labels == round(0.4 * LENGTH)
    num_removed = made.loss_mask.sum(axis=1)
    assert 0.3 < (num_removed <= round(0.15 * LENGTH)).mean() < 0.7
    assert np.array_equal(made.positions > 0, made.loss_mask)


def test_readings_are_those_of_the_parts() -> None:
    windows = TokenWindows(stream(), decoder_mix())
    indices = np.arange(50)
    made = windows.samples(indices, seed=1)
    for reading, ids in zip(windows.readings(indices, seed=1), made.input_ids, strict=True):
        is_plain = SEP not in ids and FIM_PREFIX not in ids
        assert (reading.gaps == ()) == is_plain


def test_parts_that_do_not_ask_look_at_their_whole_window() -> None:
    parts = (CausalRemover(LENGTH, document_mask=True), CausalRemover(LENGTH))
    mix = MixedRemover(parts, shares=(0.5, 0.5), document_mask=True)
    made = TokenWindows(stream(), mix).samples(np.arange(200), seed=1)
    assert made.documents is not None
    has_second_document = (made.input_ids[:, 1:] == END_OF_TEXT).any(axis=1)
    numbers = made.documents[has_second_document].max(axis=1)
    assert 0 < np.count_nonzero(numbers) < len(numbers)
    assert (
        decoder_mix()
        .remove(
            TokenWindows(stream(), decoder_mix()).read(np.arange(2)), seed=1, samples=np.arange(2)
        )
        .documents
        is None
    )
