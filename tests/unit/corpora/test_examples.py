from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.objectives import (
    AnyObjective,
    CausalObjective,
    FillInTheMiddleObjective,
    MaskedObjective,
    MixedPart,
    MixObjective,
    SpanCorruptionObjective,
    Stage,
    StagedObjective,
)
from core.spec import Budget
from corpora.examples import Example, labelled_examples
from corpora.objectives import stages_of
from tests.tiny_text import documents, stream, stream_of, tokenizer, vocabulary
from training.loader import Loader, Source

OBJECTIVES: list[AnyObjective] = [
    CausalObjective(),
    MaskedObjective(),
    MaskedObjective(replacement="80-10-10"),
    MaskedObjective(whole_words=False),
    SpanCorruptionObjective(),
    FillInTheMiddleObjective(),
    FillInTheMiddleObjective(rate=1, within_words=1),
    MixObjective(
        parts=(
            MixedPart(objective=CausalObjective()),
            MixedPart(objective=SpanCorruptionObjective()),
            MixedPart(objective=FillInTheMiddleObjective(rate=1)),
        )
    ),
    StagedObjective(
        stages=(
            Stage(until=0.5, objective=SpanCorruptionObjective()),
            Stage(objective=CausalObjective()),
        )
    ),
    StagedObjective(
        stages=(
            Stage(until=0.5, objective=CausalObjective()),
            Stage(objective=MaskedObjective()),
        )
    ),
]


def examples_of(
    *texts: str, objective: AnyObjective, context_length: int = 16, limit: int = 5
) -> list[Example]:
    return labelled_examples(
        stream_of(*texts),
        objective=objective,
        tokenizer=tokenizer(),
        context_length=context_length,
        seed=1,
        limit=limit,
    )


def assert_consistent(example: Example) -> None:
    assert example.removed
    assert example.label_tokens
    rest, blanked, place = example.text, "", 0
    for piece in example.removed:
        assert example.text[piece.start : piece.end] == piece.text
        assert piece.text
        assert piece.start >= place
        blanked += rest[place : piece.start] + "____"
        place = piece.end
    assert example.blanked == blanked + rest[place:]


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=40)
@given(text=st.text(min_size=1, max_size=80))
def test_removed_text_stands_where_it_says_for_any_unicode(
    objective: AnyObjective, text: str
) -> None:
    for example in examples_of(text, "e\u0301\U0001f469\u200d\U0001f52c", objective=objective):
        assert_consistent(example)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_windows_that_cut_a_character_stay_consistent(objective: AnyObjective) -> None:
    examples = examples_of("\U0001f600\u6f22\u00e9" * 40, objective=objective, limit=20)
    assert any("\N{REPLACEMENT CHARACTER}" in example.text for example in examples)
    for example in examples:
        assert_consistent(example)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("first_step", "is_last_stage"), [(0, False), (70, True)])
def test_tokens_are_those_of_any_step_of_a_job_with_the_same_seed(
    objective: AnyObjective, first_step: int, *, is_last_stage: bool
) -> None:
    loader = Loader(
        [Source("corpus_1", 1.0, stream())],
        objective=objective,
        vocabulary=vocabulary(),
        context_length=32,
        sequences_per_step=3,
        seed=42,
        budget=Budget(steps=100),
    )
    examples = labelled_examples(
        stream(),
        objective=objective,
        tokenizer=tokenizer(),
        context_length=32,
        seed=42,
        limit=6,
        first=first_step * 3,
        stage=len(stages_of(objective)) - 1 if is_last_stage else 0,
    )
    for number, example in enumerate(examples):
        batch, row = loader.batch(first_step + number // 3), number % 3
        counts = batch.loss_mask[row]
        places = np.arange(32) if batch.positions is None else batch.positions[row]
        assert list(example.input_tokens) == batch.input_ids[row].tolist()
        assert list(example.label_tokens) == batch.labels[row][counts].tolist()
        assert list(example.label_positions) == places[counts].tolist()


def test_removed_words_read_as_words_between_their_spaces() -> None:
    (example,) = examples_of(
        "the value of the object is not the name of the type",
        objective=MaskedObjective(rate=0.3),
        context_length=32,
        limit=1,
    )
    assert all(piece.text.isalpha() for piece in example.removed)
    words = example.text.split(" ")
    shown = example.blanked.split(" ")
    assert len(words) == len(shown)
    assert [word for word, gap in zip(words, shown, strict=True) if gap == "____"] == [
        piece.text for piece in example.removed
    ]


def test_removed_words_are_whole_in_real_text() -> None:
    objective = MaskedObjective()
    for example in examples_of(*documents(), objective=objective, context_length=64, limit=50):
        for piece in example.removed:
            before, after = example.text[: piece.start], example.text[piece.end :]
            if piece.text[0].isalnum():
                assert not before[-1:].isalnum()
            if piece.text[-1].isalnum():
                assert not after[:1].isalnum()


def test_span_corruption_shows_each_run_as_one_gap() -> None:
    (example,) = examples_of(
        "I bought a guitar to play my music", objective=SpanCorruptionObjective(), limit=1
    )
    assert len(example.removed) == example.blanked.count("____") == 1
    shown = tokenizer().decode(list(example.label_tokens), skip_special_tokens=False)
    assert shown.startswith("<|extra_0|>")
    assert example.removed[0].text in shown


def test_fill_in_the_middle_shows_what_was_moved() -> None:
    text = "I bought a guitar to play my music"
    (example,) = examples_of(
        text,
        objective=FillInTheMiddleObjective(rate=1, suffix_first=0, within_words=0),
        context_length=64,
        limit=1,
    )
    assert example.text == text
    (piece,) = example.removed
    given = tokenizer().decode(list(example.input_tokens), skip_special_tokens=False)
    assert given.partition("<|fim_middle|>")[2].strip().startswith(piece.text)


def test_causal_example_shows_the_last_word_removed() -> None:
    (example,) = examples_of("one two, three.", objective=CausalObjective(), limit=1)
    assert example.text == "one two, three."
    assert example.blanked == "one two, ____."
    assert [piece.text for piece in example.removed] == ["three"]


def test_causal_example_without_a_word_shows_its_last_character_removed() -> None:
    (example,) = examples_of("?!...", objective=CausalObjective(), limit=1)
    assert example.blanked == "?!..____"


@pytest.mark.parametrize("objective", [CausalObjective(), MaskedObjective()])
def test_documents_are_a_blank_line_apart_and_control_tokens_unseen(
    objective: AnyObjective,
) -> None:
    (example,) = examples_of(
        "one two", "three four", objective=objective, context_length=64, limit=1
    )
    assert example.text == "one two\n\nthree four"
    assert not re.search(r"<\||\[[A-Z]+\]", example.blanked)


def test_no_text_gives_no_example() -> None:
    assert examples_of(objective=CausalObjective()) == []
    assert examples_of("text", objective=CausalObjective(), limit=0) == []
