"""Objectives: how words are removed from a window of text, and what a model must put back.

Every objective says how long the windows are that ``corpora.windows`` cuts a split into, and turns
windows into samples. All randomness comes from (seed, sample index), so that loader, evaluation
and the API's examples see the same, at any step and in any order, whether a job was interrupted or
not.
"""

from __future__ import annotations

from core.objectives import (
    AnyObjective,
    AnySimple,
    CausalObjective,
    FillInTheMiddleObjective,
    MaskedObjective,
    MixObjective,
    Stage,
    StagedObjective,
)
from corpora.removers.causal import CausalRemover, FramedCausalRemover
from corpora.removers.fill_in_the_middle import MiddleRemover
from corpora.removers.masked import MaskedRemover
from corpora.removers.mixed import MixedRemover
from corpora.removers.samples import Remover
from corpora.removers.span_corruption import SpanRemover
from corpora.vocabulary import Vocabulary


def removers_for(
    objective: AnyObjective, *, vocabulary: Vocabulary, context_length: int
) -> tuple[Remover, ...]:
    """The remover of each stage, for the architecture that the whole objective trains."""
    return tuple(
        remover_for(
            stage.objective,
            vocabulary=vocabulary,
            context_length=context_length,
            for_encoder=objective.architecture == "encoder",
        )
        for stage in stages_of(objective)
    )


def remover_for(
    objective: AnySimple | MixObjective,
    *,
    vocabulary: Vocabulary,
    context_length: int,
    for_encoder: bool = False,
) -> Remover:
    """The remover that carries out ``objective``.

    Args:
        objective: Of one stage.
        vocabulary: Of the tokenizer that made the windows.
        context_length: Tokens of a sample.
        for_encoder: Whether an encoder is trained by it, whose windows are framed; one that is
            trained by `masked` always is one.
    """
    if isinstance(objective, MixObjective):
        parts = tuple(
            remover_for(
                part.objective,
                vocabulary=vocabulary,
                context_length=context_length,
                for_encoder=for_encoder,
            )
            for part in objective.parts
        )
        return MixedRemover(parts, objective.shares, document_mask=has_document_mask(objective))
    if isinstance(objective, CausalObjective):
        kind = FramedCausalRemover if for_encoder else CausalRemover
        return kind(context_length, document_mask=objective.document_mask)
    if isinstance(objective, MaskedObjective):
        return MaskedRemover(context_length, objective, vocabulary)
    if isinstance(objective, FillInTheMiddleObjective):
        return MiddleRemover(context_length, objective, vocabulary)
    return SpanRemover(context_length, objective, vocabulary)


def has_document_mask(objective: AnyObjective) -> bool:
    """Whether documents that share a window are kept apart, in any part or stage."""
    if isinstance(objective, StagedObjective):
        return any(has_document_mask(stage.objective) for stage in objective.stages)
    if isinstance(objective, MixObjective):
        return any(has_document_mask(part.objective) for part in objective.parts)
    return isinstance(objective, CausalObjective | FillInTheMiddleObjective) and (
        objective.document_mask
    )


def stages_of(objective: AnyObjective) -> tuple[Stage, ...]:
    """The stages of an objective; one that has none is a single stage."""
    if isinstance(objective, StagedObjective):
        return objective.stages
    return (Stage(until=1.0, objective=objective),)


def stage_ends(objective: AnyObjective, *, num_steps: int | None) -> tuple[int | None, ...]:
    """The first step after each stage; None: the last one lasts to the end, however late that is.

    Args:
        objective: Its stages are shares of the steps.
        num_steps: Of the job; None: not known, which a job in stages has been refused for.

    Raises:
        InvalidRequest: a stage has no step.
    """
    if not isinstance(objective, StagedObjective) or num_steps is None:
        return (None,)
    return (*objective.ends(num_steps)[:-1], None)


def is_read_forwards(objective: AnySimple | MixObjective) -> bool:
    """Whether a token must be told from those before it alone: the model may see no others."""
    return objective.architecture == "decoder"
