"""A job as a user asks for it: almost everything may be left out, much may be abbreviated.

Abbreviations (``"tiny"``, ``"masked"``, ``"20M"``, a tokenizer's id) are unfolded before the fields
are checked, so that an error names the field a user would look for: ``model.heads``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from core.counts import COUNT_SCHEMA, Count, parse_count
from core.errors import did_you_mean
from core.frozen import Frozen
from core.mixture import CorpusRequest, weights_of
from core.objectives import Architecture, CausalObjective, Objective
from core.presets import PRESET_NAMES
from core.spec import (
    MAX_CONTEXT_LENGTH,
    MAX_FFN_WIDTH,
    MAX_HEADS,
    MAX_LAYERS,
    MAX_PROMPT_LENGTH,
    MAX_PROMPTS,
    MAX_VOCAB_SIZE,
    MAX_WIDTH,
    Budget,
    EarlyStoppingSpec,
    OptimizerName,
    Precision,
    ResourcesSpec,
)
from core.tokenizer_algorithms import TokenizerAlgorithm

MAX_NAME_LENGTH = 128
MIN_VOCAB_SIZE = 320
MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY_LENGTH = 64
MAX_METADATA_VALUE_LENGTH = 512

MetadataKey = Annotated[str, Field(min_length=1, max_length=MAX_METADATA_KEY_LENGTH)]
Metadata = Annotated[
    dict[MetadataKey, Annotated[str, Field(max_length=MAX_METADATA_VALUE_LENGTH)]],
    Field(max_length=MAX_METADATA_PAIRS, description="Up to 16 pairs of the user's own"),
]
_CHANGEABLE = ("context_length",)
"""What may be given beside the checkpoint that a model starts from."""
_OWN_SHAPE = ("layers", "width", "heads")
_GAPS = ("____", "[MASK]")
"""What marks a gap in a blank; more underscores hold four as well."""


def _can_be_read(name: str) -> str:
    if not name.isprintable() or not name.strip():
        raise ValueError("a name has a visible character and no control character")
    return name


def _names_a_model(name: str) -> str:
    if ":" in name:
        raise ValueError("the name of a job has no colon, which parts it from a checkpoint's")
    return name


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_can_be_read)]
"""What people call a thing: on one line of a terminal or a page, whatever they wrote."""

JobName = Annotated[Name, AfterValidator(_names_a_model)]

VocabSize = Annotated[
    int,
    Field(strict=True, ge=MIN_VOCAB_SIZE, le=MAX_VOCAB_SIZE),
    BeforeValidator(parse_count),
    WithJsonSchema({**COUNT_SCHEMA, "examples": ["8k"]}),
]
"""How many tokens a tokenizer has, also written as ``"8k"``."""


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> PydanticCustomError:
    hint = did_you_mean(name, known)
    return PydanticCustomError(
        f"unknown_{kind}", "There is no {kind} {name}.{hint}",
        {"kind": kind, "name": repr(name), "hint": hint},
    )  # fmt: skip


def _preset_as_model(value: object) -> object:
    if not isinstance(value, str | dict | ModelRequest):
        raise PydanticCustomError(
            "preset_or_object_type",
            "A model is the name of a preset ({names}), or an object with a shape or a checkpoint",
            {"names": ", ".join(PRESET_NAMES)},
        )
    return {"preset": value} if isinstance(value, str) else value


def _known_preset(value: object) -> object:
    if isinstance(value, str) and value not in PRESET_NAMES:
        raise _unknown("preset", value, PRESET_NAMES)
    return value


def _id_as_tokenizer(value: object) -> object:
    return {"id": value} if isinstance(value, str) else value


class ModelRequest(Frozen):
    """A preset, a shape, a preset with some of its shape changed, or a checkpoint to go on from."""

    from_checkpoint: str | None = Field(
        default=None,
        alias="from",
        description="A checkpoint whose weights, shape and tokenizer the job starts with",
    )
    preset: Annotated[str, BeforeValidator(_known_preset)] | None = None
    architecture: Architecture | None = None
    layers: int | None = Field(default=None, ge=1, le=MAX_LAYERS)
    width: int | None = Field(default=None, ge=8, le=MAX_WIDTH)
    heads: int | None = Field(default=None, ge=1, le=MAX_HEADS)
    kv_heads: int | None = Field(default=None, ge=1, le=MAX_HEADS)
    ffn_width: int | None = Field(default=None, ge=8, le=MAX_FFN_WIDTH)
    context_length: int | None = Field(default=None, ge=16, le=MAX_CONTEXT_LENGTH)
    tie_embeddings: bool | None = None

    @model_validator(mode="after")
    def _is_a_preset_or_a_whole_shape(self) -> Self:
        if self.from_checkpoint is not None:
            others = sorted(self.model_fields_set - {"from_checkpoint", *_CHANGEABLE})
            if others:
                raise ValueError(
                    f"{others[0]}: a model that goes on from a checkpoint has the checkpoint's; "
                    f"beside 'from' there may be only {', '.join(_CHANGEABLE)}"
                )
        elif self.preset is None:
            missing = [name for name in _OWN_SHAPE if getattr(self, name) is None]
            if missing:
                raise ValueError(
                    f"{missing[0]}: a model without a preset needs at least {', '.join(_OWN_SHAPE)}"
                )
        return self


class TokenizerRequest(Frozen):
    """An existing tokenizer, or the wish for one made from the corpus."""

    id: str | None = None
    vocab_size: VocabSize | None = None
    algorithm: TokenizerAlgorithm = "bpe"

    @property
    def is_default(self) -> bool:
        """Whether this is the tokenizer that every corpus comes with."""
        return self == TokenizerRequest()

    @model_validator(mode="after")
    def _an_id_stands_alone(self) -> Self:
        if self.id is not None and self.vocab_size is not None:
            raise ValueError("vocab_size: an existing tokenizer has its own")
        return self


class OptimizerRequest(Frozen):
    """The optimizer; what is left out follows the model's size and the batch's."""

    name: OptimizerName = "muon"
    learning_rate: float | None = Field(default=None, gt=0, le=10)
    weight_decay: float = Field(default=0.1, ge=0, le=1)
    cautious_decay: bool = True
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float | None = Field(default=None, ge=0, lt=1)
    gradient_clip: float = Field(default=1.0, gt=0, le=1000)


class ScheduleRequest(Frozen):
    """How the learning rate moves: shares of the budget; the warm-up follows the model's size."""

    name: Literal["wsd", "cosine", "linear"] = "wsd"
    warmup: float | None = Field(default=None, ge=0, le=0.5)
    decay: float = Field(default=0.4, ge=0, le=1)


def _has_a_gap(blank: str) -> str:
    if not any(gap in blank for gap in _GAPS):
        raise ValueError(f"there is no gap to fill; write one as {_GAPS[0]}")
    return blank


class EvaluationRequest(Frozen):
    """What is measured on held-out text, and how often."""

    every_steps: Count | None = None
    max_tokens: Count | None = Field(
        default=None, le=10**9, description="Most held-out tokens read at each evaluation"
    )
    prompts: list[Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_LENGTH)]] = Field(
        default=[], max_length=MAX_PROMPTS
    )
    blanks: list[
        Annotated[
            str, Field(min_length=1, max_length=MAX_PROMPT_LENGTH), AfterValidator(_has_a_gap)
        ]
    ] = Field(default=[], max_length=MAX_PROMPTS)
    early_stopping: EarlyStoppingSpec | None = Field(
        default=None, description="End the job once held-out text no longer becomes easier"
    )


class CheckpointRequest(Frozen):
    """When a checkpoint is saved and how many stay."""

    every_steps: Count | None = None
    keep_last: int = Field(default=2, ge=1, le=1000)
    keep_best: int = Field(default=1, ge=0, le=1000)


class JobRequest(Frozen):
    """The body of ``POST /v1/jobs``."""

    corpus: CorpusRequest = Field(description="The id of a corpus, or a mixture of corpora")
    name: JobName | None = None
    model: Annotated[ModelRequest, BeforeValidator(_preset_as_model)] = ModelRequest(preset="small")
    objective: Objective = CausalObjective()
    tokenizer: Annotated[TokenizerRequest, BeforeValidator(_id_as_tokenizer)] | None = None
    budget: Budget | None = None
    batch_tokens: Count | None = Field(default=None, le=10**8)
    seed: int = Field(default=0, ge=0, lt=2**63)
    precision: Precision = "auto"
    optimizer: OptimizerRequest = OptimizerRequest()
    schedule: ScheduleRequest = ScheduleRequest()
    evaluation: EvaluationRequest = EvaluationRequest()
    checkpoints: CheckpointRequest = CheckpointRequest()
    resources: ResourcesSpec = ResourcesSpec()
    priority: int = Field(default=0, ge=-100, le=100)
    max_attempts: int = Field(default=3, ge=1, le=100)
    metadata: Metadata = Field(default={})

    @property
    def architecture(self) -> Architecture:
        """Of a new model: what the objective needs, unless the model names another."""
        return self.model.architecture or self.objective.architecture

    @property
    def corpus_shares(self) -> dict[str, float]:
        """The share of the samples that each corpus is to give, by its id, in their order."""
        return weights_of(self.corpus)

    @property
    def main_corpus(self) -> str:
        """The corpus with the largest share, the first of equals."""
        shares = self.corpus_shares
        return max(shares, key=lambda corpus_id: shares[corpus_id])

    def as_stored(self) -> dict[str, Any]:
        """What the database keeps: what the user gave, unfolded, without our defaults."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)
