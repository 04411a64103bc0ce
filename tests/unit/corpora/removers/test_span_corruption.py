from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.objectives import SpanCorruptionObjective
from corpora.removers.samples import Samples
from corpora.removers.span_corruption import SpanRemover
from corpora.vocabulary import END_OF_TEXT, FIRST_SENTINEL, NUM_SENTINELS, PAD, SEP
from corpora.windows import TokenWindows
from tests.tiny_text import Stream, encode, stream, stream_of, vocabulary, words_in_a_row

LENGTH = 64


def spans(
    objective: SpanCorruptionObjective | None = None, *, context_length: int = LENGTH
) -> SpanRemover:
    return SpanRemover(context_length, objective or SpanCorruptionObjective(), vocabulary())


def made_of(source: Stream, remover: SpanRemover, *, seed: int = 1) -> tuple[NDArray, Samples]:  # type: ignore[type-arg]
    windows = TokenWindows(source, remover)
    everything = np.arange(windows.count)
    tokens = windows.read(everything)
    return tokens, remover.remove(tokens, seed=seed, samples=everything)


def is_sentinel(tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (tokens >= FIRST_SENTINEL) & (tokens < FIRST_SENTINEL + NUM_SENTINELS)


def pieces(tokens: NDArray[np.int64]) -> list[list[int]]:
    """What stands between the sentinels."""
    cuts = np.flatnonzero(is_sentinel(tokens))
    return [part[is_sentinel(part).astype(int).sum() :].tolist() for part in np.split(tokens, cuts)]


def text_and_answer(made: Samples, row: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = made.input_ids[row]
    (mark,) = np.flatnonzero(ids == SEP)
    return ids[:mark], made.labels[row][made.loss_mask[row]]


@given(
    tokens=st.lists(st.integers(64, 1023), min_size=1, max_size=200),
    ends=st.sets(st.integers(1, 198)),
    rate=st.floats(0.05, 0.5),
    mean_span=st.floats(1, 8),
)
def test_putting_the_answer_back_gives_the_text(
    tokens: list[int], ends: set[int], rate: float, mean_span: float
) -> None:
    text = [token for place, token in enumerate(tokens) if not {place, place - 1} <= ends]
    text = [END_OF_TEXT if place in ends else token for place, token in enumerate(text)]
    objective = SpanCorruptionObjective(rate=rate, mean_span=mean_span)
    remover = spans(objective)
    windows, made = made_of(Stream([END_OF_TEXT, *text, 64]), remover)
    for row, window in enumerate(windows):
        full = [*made.input_ids[row].tolist(), END_OF_TEXT]
        mark = full.index(SEP)
        answer = np.array(full[mark + 1 :])
        answer = answer[: np.flatnonzero(answer == END_OF_TEXT)[0]]
        kept, removed = pieces(np.array(full[:mark])), pieces(answer)
        assert len(removed) == len(kept)
        assert removed[0] == []  # the answer begins with a sentinel
        together = kept[0] + [
            token for gone, rest in zip(removed[1:], kept[1:], strict=True) for token in gone + rest
        ]
        expected = window.tolist()
        while expected[-1] in {PAD, END_OF_TEXT}:
            expected.pop()
        assert together == expected
        assert all(removed[1:])
        assert all(END_OF_TEXT not in piece for piece in removed)


def test_answer_alone_is_learned_and_in_order() -> None:
    _, made = made_of(stream(), spans())
    for row in range(50):
        text, answer = text_and_answer(made, row)
        assert made.positions is not None
        positions = made.positions[row][made.loss_mask[row]]
        assert positions[0] == len(text)  # the mark: there the answer begins
        assert np.array_equal(np.diff(positions), np.ones(len(positions) - 1))
        assert is_sentinel(answer)[0]
        given = np.append(made.input_ids[row], END_OF_TEXT)
        assert np.array_equal(given[positions + 1], answer)


def test_full_window_fits_the_context_exactly() -> None:
    remover = spans()
    _, made = made_of(stream(), remover)
    assert remover.tokens_read + 2 * remover.num_spans + 2 == LENGTH + 1
    assert made.input_ids.shape[1] == LENGTH
    num_answers = is_sentinel(made.input_ids).sum(axis=1)
    is_usual = num_answers == 2 * remover.num_spans
    assert is_usual.mean() > 0.9
    assert not (made.input_ids[is_usual] == PAD).any()


def test_rate_and_length_of_runs_are_those_asked_for() -> None:
    objective = SpanCorruptionObjective(rate=0.2, mean_span=4)
    remover = spans(objective, context_length=512)
    _, made = made_of(stream(), remover)
    num_removed = (made.loss_mask & ~is_sentinel(made.labels)).sum(axis=1) - 1
    num_spans = (made.loss_mask & is_sentinel(made.labels)).sum(axis=1)
    assert abs(num_removed.mean() / remover.tokens_read - 0.2) < 0.02
    assert abs(num_removed.sum() / num_spans.sum() - 4) < 0.4


def test_runs_are_of_whole_words_by_the_word_ids_of_tokenizers() -> None:
    source, words = words_in_a_row()
    remover = spans()
    windows = TokenWindows(source, remover)
    everything = np.arange(windows.count)
    starts = windows.starts(everything)
    readings = windows.readings(everything, seed=3)
    taken = windows.of_samples(everything, seed=3)
    assert windows.count > 100
    is_long = np.bincount(words[words >= 0]) > round(0.15 * remover.tokens_read)
    torn = {
        int(words[start + inside])
        for reading, start in zip(readings, starts[taken].tolist(), strict=True)
        for first, last in reading.gaps
        for inside, outside in ((first, first - 1), (last, last + 1))
        if words[start + inside] == words[start + outside]
    }
    assert all(is_long[word] for word in torn)


def test_sentinels_begin_again_behind_the_last() -> None:
    remover = spans(SpanCorruptionObjective(rate=0.3, mean_span=2), context_length=512)
    assert remover.num_spans > NUM_SENTINELS
    _, made = made_of(stream(), remover)
    text, _ = text_and_answer(made, 0)
    numbers = text[is_sentinel(text)] - FIRST_SENTINEL
    assert numbers.tolist() == [k % NUM_SENTINELS for k in range(len(numbers))]


def test_runs_never_cross_into_another_document() -> None:
    source = stream_of(*["one two three four five"] * 200)
    _, made = made_of(source, spans(SpanCorruptionObjective(rate=0.5, mean_span=6)))
    removed = made.labels[made.loss_mask & ~is_sentinel(made.labels)]
    # one at the end of each answer that fits among the labels
    assert (removed == END_OF_TEXT).sum() <= len(made.labels)
    assert (made.input_ids == END_OF_TEXT).any()


def test_text_without_spaces_loses_runs_of_whole_characters() -> None:
    source = stream_of("\u6f22\u5b57" * 2000)
    remover = spans(context_length=256)
    _, made = made_of(source, remover)
    num_removed = (made.loss_mask & ~is_sentinel(made.labels)).sum(axis=1) - 1
    assert abs(num_removed.mean() / remover.tokens_read - 0.15) < 0.02
    num_spans = (made.loss_mask & is_sentinel(made.labels)).sum(axis=1)
    # two runs that touch are one, and a character is as long as the mean
    assert num_spans.min() > remover.num_spans / 2
    is_whole = np.array([True, False, False])
    for row, labels in enumerate(made.labels[:20]):
        for run in pieces(labels[made.loss_mask[row]])[1:-1]:
            begins = ~vocabulary().continues_character[run]
            assert np.array_equal(begins, np.resize(is_whole, len(run)))


@given(tokens=st.lists(st.integers(64, 1023), min_size=1, max_size=100))
def test_something_is_always_removed(tokens: list[int]) -> None:
    _, made = made_of(Stream([END_OF_TEXT, *tokens]), spans(context_length=16))
    assert (made.loss_mask & ~is_sentinel(made.labels)).any(axis=1).all()
    assert is_sentinel(made.input_ids).any(axis=1).all()


def test_every_word_but_the_outer_ones_goes_equally_often() -> None:
    (the,) = encode(" the")
    remover = spans(SpanCorruptionObjective(rate=0.3), context_length=32)
    num_samples, num_words = 4000, remover.tokens_read
    readings = remover.read(
        np.full((num_samples, num_words), the), seed=0, samples=np.arange(num_samples)
    )
    counts = np.zeros(num_words)
    for reading in readings:
        for first, last in reading.gaps:
            counts[first : last + 1] += 1
    assert counts[0] == counts[-1] == 0
    inner = counts[4:-4]
    assert np.abs(inner - inner.mean()).max() < 0.15 * inner.mean()


@pytest.mark.parametrize("context_length", [16, 17, 64, 513])
@pytest.mark.parametrize("rate", [0.01, 0.15, 0.5])
@pytest.mark.parametrize("mean_span", [1.0, 3.0, 64.0])
def test_every_setting_gives_whole_samples(
    context_length: int, rate: float, mean_span: float
) -> None:
    objective = SpanCorruptionObjective(rate=rate, mean_span=mean_span)
    remover = spans(objective, context_length=context_length)
    _, made = made_of(stream(), remover)
    assert made.input_ids.shape[1] == context_length
    assert made.labels.shape[1] == remover.num_labels
    assert made.loss_mask.any(axis=1).all()
