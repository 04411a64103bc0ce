from __future__ import annotations

import numpy as np

from corpora.removers.causal import CausalRemover
from corpora.vocabulary import END_OF_TEXT, PAD


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
