from __future__ import annotations

import pytest

from core.objectives import (
    AnySimple,
    CausalObjective,
    FillInTheMiddleObjective,
    MaskedObjective,
    MixedPart,
    MixObjective,
    SpanCorruptionObjective,
    Stage,
    StagedObjective,
)
from corpora.objectives import remover_for, removers_for, stages_of
from corpora.removers.causal import CausalRemover, FramedCausalRemover
from corpora.removers.fill_in_the_middle import MiddleRemover
from corpora.removers.masked import MaskedRemover
from corpora.removers.mixed import MixedRemover
from corpora.removers.samples import Remover
from corpora.removers.span_corruption import SpanRemover
from tests.tiny_text import vocabulary


@pytest.mark.parametrize(
    ("objective", "kind"),
    [
        (CausalObjective(), CausalRemover),
        (MaskedObjective(), MaskedRemover),
        (SpanCorruptionObjective(), SpanRemover),
        (FillInTheMiddleObjective(), MiddleRemover),
    ],
)
def test_objective_picks_its_remover(objective: AnySimple, kind: type[Remover]) -> None:
    found = remover_for(objective, vocabulary=vocabulary(), context_length=16)
    assert isinstance(found, kind)
    assert found.context_length == 16


def test_mix_has_a_remover_for_each_part_and_its_share() -> None:
    mix = MixObjective(
        parts=(
            MixedPart(objective=MaskedObjective(rate=0.5), weight=3),
            MixedPart(objective=MaskedObjective(), weight=1),
        )
    )
    found = remover_for(mix, vocabulary=vocabulary(), context_length=16)
    assert isinstance(found, MixedRemover)
    assert found.shares == (0.75, 0.25)
    assert [part.num_labels for part in found.parts] == [8, 5]


def test_objective_without_stages_is_one_that_lasts_to_the_end() -> None:
    (stage,) = stages_of(CausalObjective())
    assert (stage.until, stage.objective) == (1, CausalObjective())
    two = (
        Stage(until=0.5, objective=CausalObjective()),
        Stage(objective=SpanCorruptionObjective()),
    )
    assert stages_of(StagedObjective(stages=two)) == two


def test_causal_windows_are_framed_where_an_encoder_is_trained() -> None:
    causal = CausalObjective()
    kinds = {}
    for last in (SpanCorruptionObjective(), MaskedObjective()):
        both = StagedObjective(stages=(Stage(until=0.5, objective=causal), Stage(objective=last)))
        first, _ = removers_for(both, vocabulary=vocabulary(), context_length=16)
        kinds[last.type] = type(first)
    assert kinds == {"span_corruption": CausalRemover, "masked": FramedCausalRemover}
