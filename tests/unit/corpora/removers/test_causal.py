from __future__ import annotations

import numpy as np

from core.objectives import MaskedObjective
from corpora.removers.causal import CausalRemover, FramedCausalRemover
from corpora.removers.masked import MaskedRemover
from corpora.vocabulary import CLS, END_OF_TEXT, PAD, SEP
from corpora.windows import TokenWindows
from tests.tiny_text import Stream, stream, vocabulary


def test_causal_labels_are_the_tokens_that_follow() -> None:
    tokens = np.arange(100, 134).reshape(2, 17)
    made = CausalRemover(16).remove(tokens, seed=0, samples=np.arange(2))
    assert np.array_equal(made.input_ids, tokens[:, :-1])
    assert np.array_equal(made.labels, tokens[:, 1:])
    assert made.loss_mask.all()
    assert made.positions is None


def test_causal_padding_is_no_label_but_the_end_of_a_document_is() -> None:
    tokens = np.array([[END_OF_TEXT, 100, END_OF_TEXT, PAD, PAD]])
    made = CausalRemover(4).remove(tokens, seed=0, samples=np.arange(1))
    assert made.loss_mask.tolist() == [[True, True, False, False]]


def test_documents_of_a_window_are_numbered_if_they_are_to_be_kept_apart() -> None:
    tokens = np.array([[100, END_OF_TEXT, 101, 102, END_OF_TEXT, 103]])
    remover = CausalRemover(5, document_mask=True)
    made = remover.remove(tokens, seed=0, samples=np.arange(1))
    assert made.documents is not None
    assert made.documents.tolist() == [[0, 1, 1, 1, 2]]
    assert CausalRemover(5).remove(tokens, seed=0, samples=np.arange(1)).documents is None


def test_an_encoder_reads_causal_windows_as_it_reads_masked_ones() -> None:
    causal = TokenWindows(stream(), FramedCausalRemover(32))
    masked = TokenWindows(stream(), MaskedRemover(32, MaskedObjective(), vocabulary()))
    assert causal.count == masked.count
    samples = np.arange(50)
    ours, theirs = (windows.samples(samples, seed=1) for windows in (causal, masked))
    assert theirs.positions is not None
    counts, whole = theirs.loss_mask, theirs.input_ids.copy()
    rows = np.nonzero(counts)[0]
    whole[rows, theirs.positions[counts]] = theirs.labels[counts]
    assert np.array_equal(ours.input_ids, whole)


def test_an_encoder_predicts_every_token_but_the_first_of_a_split_once() -> None:
    text = [END_OF_TEXT, *range(100, 150), END_OF_TEXT, *range(150, 189)]  # three windows of 32
    windows = TokenWindows(Stream(text), FramedCausalRemover(32))
    made = windows.samples(np.arange(windows.count), seed=0)
    told = sorted(made.labels[made.loss_mask].tolist())
    assert told == sorted([*text[1:51], SEP, *text[52:], SEP])
    inside = made.input_ids[:, 1:-1][made.loss_mask[:, 1:-1]]
    follows = made.labels[:, 1:-1][made.loss_mask[:, 1:-1]]
    ordinary = (inside >= 100) & (follows >= 100)
    assert np.array_equal(inside[ordinary] + 1, follows[ordinary])


def test_a_frame_stands_for_what_no_model_can_know() -> None:
    tokens = np.array(
        [[100, 101, END_OF_TEXT, 102, 103], [END_OF_TEXT, 100, END_OF_TEXT, PAD, PAD]]
    )
    remover = FramedCausalRemover(5, document_mask=True)
    made = remover.remove(tokens, seed=0, samples=np.arange(2))
    assert made.input_ids.tolist() == [[CLS, 101, SEP, 102, SEP], [CLS, 100, SEP, PAD, PAD]]
    assert made.labels[0].tolist() == [101, SEP, 102, 103, PAD]
    assert made.loss_mask.tolist() == [
        [False, True, True, True, False],  # it begins in the middle of a text
        [True, True, False, False, False],
    ]
    assert made.documents is not None
    assert made.documents[0].tolist() == [0, 0, 1, 1, 1]
    assert FramedCausalRemover(5).remove(tokens, seed=0, samples=np.arange(2)).documents is None
