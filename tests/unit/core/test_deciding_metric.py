from __future__ import annotations

import math

from core.deciding_metric import deciding_metric

BITS, TOP1, LOSS = (
    "validation/bits_per_byte",
    "validation/masked_accuracy_top1",
    "validation/loss",
)


def test_decoder_is_the_better_the_fewer_bits_it_needs_for_a_byte() -> None:
    metric = deciding_metric("decoder")
    looks = [{BITS: 2.0, LOSS: 1.0}, {BITS: 1.5, LOSS: 3.0}, {BITS: 1.7, LOSS: 2.0}]
    assert sorted(looks, key=metric.order) == [looks[1], looks[2], looks[0]]
    assert metric.badness(looks[1]) < metric.badness(looks[0])


def test_encoder_is_the_better_the_more_of_its_first_guesses_are_right() -> None:
    metric = deciding_metric("encoder")
    looks = [{TOP1: 0.2, LOSS: 1.0}, {TOP1: 0.3, LOSS: 3.0}]
    assert sorted(looks, key=metric.order) == looks[::-1]


def test_loss_decides_between_equals_and_where_nothing_else_was_measured() -> None:
    metric = deciding_metric("encoder")
    equals = [{TOP1: 0.2, LOSS: 1.5}, {TOP1: 0.2, LOSS: 1.0}, {LOSS: 0.9}, {LOSS: 0.8}]
    assert sorted(equals, key=metric.order) == [equals[1], equals[0], equals[3], equals[2]]


def test_what_was_not_measured_or_is_no_number_is_the_worst() -> None:
    metric = deciding_metric("decoder")
    for metrics in ({}, {BITS: None}, {BITS: math.nan}, {BITS: math.inf}):
        assert metric.badness(metrics) == math.inf
