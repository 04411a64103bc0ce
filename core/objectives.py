"""Objectives as a spec names them: how words are removed, and what each can be told.

Four ways to remove words (:data:`SimpleObjective`), which may be mixed sample by sample and follow
each other in stages. Each trains one architecture: a decoder reads from left to right, an encoder
from both sides. An encoder may begin with `causal`, in stages before its last one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from core.errors import InvalidRequest, did_you_mean
from core.frozen import Frozen

Architecture = Literal["decoder", "encoder"]

MAX_PARTS: Final = 16
MAX_STAGES: Final = 16
SIMPLE_NAMES: Final = ("causal", "masked", "span_corruption", "fill_in_the_middle")
_MIX, _STAGES = "mix", "stages"
_TWO_ARCHITECTURES: Final = "objectives_need_two_architectures"
_KIND: Final[Mapping[Architecture, str]] = {"decoder": "a decoder", "encoder": "an encoder"}
WHAT_TRAINS: Final[Mapping[Architecture, str]] = {
    "decoder": "a decoder is trained by causal, span_corruption and fill_in_the_middle",
    "encoder": "an encoder is trained by masked, before whose stage there may be others of causal",
}
"""Told to who asked for something else."""
_DOCUMENT_MASK: Final = "Keep documents that share a window from looking at each other"


def named_objective(value: object) -> object:
    """Unfold what users write shortly; leave what is no objective for the type check to judge.

    A name is an objective without options, a list is a mix, and ``{"stages": [...]}`` says what it
    is without a ``type``.

    Raises:
        PydanticCustomError: there is no objective of this name, or this is nothing that names one.
    """
    if not isinstance(value, str | list | dict | Frozen):
        raise PydanticCustomError(
            "objective_type",
            "An objective is a name ({names}), an object with a type, a list of objectives to mix, "
            "or an object with stages",
            {"names": ", ".join(SIMPLE_NAMES)},
        )
    unfolded: object = value
    if isinstance(value, str):
        unfolded = {"type": value}
    elif isinstance(value, list):
        unfolded = {"type": _MIX, "parts": value}
    elif isinstance(value, dict) and "type" not in value:
        kinds = {"stages": _STAGES, "parts": _MIX}
        found = [kind for field, kind in kinds.items() if field in value]
        unfolded = {"type": found[0], **value} if found else value
    if isinstance(unfolded, dict):
        name = unfolded.get("type")
        if isinstance(name, str) and name not in {*SIMPLE_NAMES, _MIX, _STAGES}:
            hint = did_you_mean(name, SIMPLE_NAMES)
            raise PydanticCustomError(
                "unknown_objective",
                "There is no objective {name}.{hint}",
                {"name": repr(name), "hint": hint},
            )
    return unfolded


def _simple(value: object) -> object:
    """What may stand in a mix."""
    unfolded = named_objective(value)
    if _kind(unfolded) in {_MIX, _STAGES}:
        raise PydanticCustomError(
            "nested_objective",
            "A mix is made of {names}, each with a weight; mixes and stages do not stand in it",
            {"names": ", ".join(SIMPLE_NAMES)},
        )
    return unfolded


def _without_stages(value: object) -> object:
    """What may stand in a stage."""
    unfolded = named_objective(value)
    if _kind(unfolded) == _STAGES:
        raise PydanticCustomError(
            "nested_objective", "A stage has one objective or a mix; it has no stages of its own"
        )
    return unfolded


def _kind(unfolded: object) -> object:
    return unfolded.get("type") if isinstance(unfolded, dict) else getattr(unfolded, "type", None)


class CausalObjective(Frozen):
    """The next word is removed: every token is predicted from those before it."""

    architecture: ClassVar[Architecture] = "decoder"

    type: Literal["causal"] = "causal"
    document_mask: bool = Field(default=False, description=_DOCUMENT_MASK)

    @property
    def label(self) -> str:
        """For people."""
        return self.type


class MaskedObjective(Frozen):
    """Words are removed anywhere and predicted from both sides (arXiv 1810.04805, 2202.08005)."""

    architecture: ClassVar[Architecture] = "encoder"

    type: Literal["masked"] = "masked"
    rate: float = Field(default=0.3, gt=0, le=0.9, description="Share of the tokens removed")
    whole_words: bool = Field(default=True, description="Remove words, not pieces of words")
    replacement: Literal["mask", "80-10-10"] = Field(
        default="mask",
        description="What stands in the gap: always [MASK], or BERT's 80 % [MASK], 10 % a random "
        "token, 10 % the token itself",
    )

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.type} ({self.rate:.0%})"


class SpanCorruptionObjective(Frozen):
    """Runs of words are removed and written out after the text (arXiv 1910.10683)."""

    architecture: ClassVar[Architecture] = "decoder"

    type: Literal["span_corruption"] = "span_corruption"
    rate: float = Field(default=0.15, gt=0, le=0.5, description="Share of the tokens removed")
    mean_span: float = Field(
        default=3.0, ge=1, le=64, description="Tokens of a removed run of words, on average"
    )

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.type} ({self.rate:.0%})"


class FillInTheMiddleObjective(Frozen):
    """A run of words is moved to the end, behind what stood around it (arXiv 2207.14255)."""

    architecture: ClassVar[Architecture] = "decoder"

    type: Literal["fill_in_the_middle"] = "fill_in_the_middle"
    rate: float = Field(
        default=0.5, gt=0, le=1, description="Share of the documents' parts that are rearranged"
    )
    suffix_first: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of those in the order suffix, prefix, middle; else prefix, suffix, "
        "middle",
    )
    within_words: float = Field(
        default=0.1, ge=0, le=1, description="Share of the cuts that fall within a word"
    )
    document_mask: bool = Field(default=False, description=_DOCUMENT_MASK)

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.type} ({self.rate:.0%})"


AnySimple = CausalObjective | MaskedObjective | SpanCorruptionObjective | FillInTheMiddleObjective
SimpleObjective = Annotated[AnySimple, Field(discriminator="type"), BeforeValidator(_simple)]


class MixedPart(Frozen):
    """One objective of a mix."""

    objective: SimpleObjective
    weight: float = Field(default=1.0, gt=0, le=1e6, description="Its share, beside the others'")

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: object) -> object:
        """A name alone, or an objective with its weight among its options."""
        if not isinstance(value, dict | Frozen):
            return {"objective": value}
        if isinstance(value, dict) and "type" in value:
            options = {name: option for name, option in value.items() if name != "weight"}
            weight = {name: value[name] for name in ("weight",) if name in value}
            return {"objective": options, **weight}
        return value


class MixObjective(Frozen):
    """Every sample is drawn for one of several objectives, by their weights."""

    type: Literal["mix"] = "mix"
    parts: tuple[MixedPart, ...] = Field(max_length=MAX_PARTS, strict=False)

    @model_validator(mode="after")
    def _trains_one_architecture(self) -> Self:
        if not self.parts:
            raise ValueError("a mix has at least one objective")
        found = {part.objective.architecture: part.objective.label for part in self.parts}
        if len(found) > 1:
            raise PydanticCustomError(
                _TWO_ARCHITECTURES,
                "The samples of a mix train one model, but {decoder} trains a decoder and "
                "{encoder} an encoder; in stages, an encoder may begin with causal and go on with "
                "masked",
                {name: repr(label) for name, label in found.items()},
            )
        return self

    @property
    def architecture(self) -> Architecture:
        """What this trains."""
        return self.parts[0].objective.architecture

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, adding up to 1."""
        total = sum(part.weight for part in self.parts)
        return tuple(part.weight / total for part in self.parts)

    @property
    def label(self) -> str:
        """For people."""
        parts = zip(self.shares, self.parts, strict=True)
        return " + ".join(f"{share:.0%} {part.objective.label}" for share, part in parts)


class Stage(Frozen):
    """One objective of a row of them."""

    until: float = Field(default=1.0, gt=0, le=1, description="Share of the budget where it ends")
    objective: Annotated[
        AnySimple | MixObjective, Field(discriminator="type"), BeforeValidator(_without_stages)
    ]

    @model_validator(mode="before")
    @classmethod
    def _is_an_object(cls, value: object) -> object:
        """A name alone does not say how long it lasts."""
        if not isinstance(value, dict | Frozen):
            raise PydanticCustomError(
                "stage_type",
                'A stage is an object: {"until": 0.5, "objective": "causal"}, the last without '
                "until",
            )
        return value


class StagedObjective(Frozen):
    """Objectives one after the other, each up to a share of the budget's steps."""

    type: Literal["stages"] = "stages"
    stages: tuple[Stage, ...] = Field(max_length=MAX_STAGES, strict=False)

    @model_validator(mode="after")
    def _stages_follow_each_other(self) -> Self:
        if not self.stages:
            raise ValueError("there is at least one stage")
        ends = [stage.until for stage in self.stages]
        for number, (earlier, later) in enumerate(pairwise(ends), start=2):
            if later <= earlier:
                raise ValueError(
                    "each stage ends later than the one before it, at a share of the budget that "
                    f"its `until` gives; stage {number} ends at {later:g}, the one before it at "
                    f"{earlier:g}"
                )
        if ends[-1] != 1:
            raise ValueError(
                f"the last stage ends with the budget: leave out its `until`, which is {ends[-1]:g}"
            )
        return self

    @model_validator(mode="after")
    def _train_one_architecture(self) -> Self:
        for number, stage in enumerate(self.stages, start=1):
            if not self._has_room_for(stage.objective):
                raise PydanticCustomError(
                    _TWO_ARCHITECTURES,
                    "Stage {number}, {label}, trains {this}, and the last stage, {last}, makes the "
                    "model {that}; {rule}",
                    {
                        "number": number,
                        "label": repr(stage.objective.label),
                        "this": _KIND[stage.objective.architecture],
                        "last": repr(self.stages[-1].objective.label),
                        "that": _KIND[self.architecture],
                        "rule": WHAT_TRAINS[self.architecture],
                    },
                )
        return self

    def _has_room_for(self, objective: AnySimple | MixObjective) -> bool:
        """Whether a model of the last stage's architecture can be trained on this one as well.

        An encoder that begins from left to right, under a causal mask, learns from every token of
        its text (arXiv 2507.00994). The answers of the other two stand behind the text, where an
        encoder would look at them.
        """
        if objective.architecture == self.architecture:
            return True
        return self.architecture == "encoder" and all(
            isinstance(simple, CausalObjective) for simple in _simple_parts(objective)
        )

    def ends(self, num_steps: int) -> tuple[int, ...]:
        """The first step after each stage.

        Raises:
            InvalidRequest: a stage has no step.
        """
        ends = tuple(round(stage.until * num_steps) for stage in self.stages)
        for place, (begin, end) in enumerate(pairwise((0, *ends))):
            if begin == end:
                raise InvalidRequest(
                    f"Stage {place + 1} ({self.stages[place].objective.label}) has no step: the "
                    f"budget is of {num_steps}. A longer budget or a smaller batch_tokens makes "
                    "more, another `until` shares them otherwise.",
                    code="stage_without_steps",
                    param=f"objective.stages.{place}.until",
                )
        return ends

    @property
    def architecture(self) -> Architecture:
        """What this trains: what the last stage does."""
        return self.stages[-1].objective.architecture

    @property
    def label(self) -> str:
        """For people."""
        return ", then ".join(
            f"{stage.objective.label} until {stage.until:.0%}" for stage in self.stages
        )


FillingObjective = FillInTheMiddleObjective | SpanCorruptionObjective
"""What teaches a decoder to fill a gap."""
AnyObjective = AnySimple | MixObjective | StagedObjective
Objective = Annotated[AnyObjective, Field(discriminator="type"), BeforeValidator(named_objective)]


def filling_objective(objective: AnyObjective) -> FillingObjective | None:
    """How a decoder that this trains is asked to fill a gap; None if it is not taught to.

    What the last stage teaches counts: the rest may be forgotten. Of a mix that teaches both ways,
    `fill_in_the_middle` is asked, which was made for it.
    """
    last = objective.stages[-1].objective if isinstance(objective, StagedObjective) else objective
    for kind in (FillInTheMiddleObjective, SpanCorruptionObjective):
        for part in _simple_parts(last):
            if isinstance(part, kind):
                return part
    return None


def _simple_parts(objective: AnySimple | MixObjective) -> list[AnySimple]:
    """The objectives that the samples of a stage are drawn for."""
    if isinstance(objective, MixObjective):
        return [part.objective for part in objective.parts]
    return [objective]
