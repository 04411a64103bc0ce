"""The spec: everything that determines a job's result, validated once and then trusted.

A :class:`JobSpec` is complete: no default is left to be guessed by whoever reads it. It is made
from a user's request by ``core.resolve``, frozen when the job's corpus and tokenizer are known,
answered back as ``job.spec``, and handed to the trainer. It knows nothing of the service:
``python -m training`` runs on the same JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.counts import Count
from core.frozen import Frozen
from core.mixture import CorpusSpec, weights_of
from core.objectives import WHAT_TRAINS, Architecture, Objective, StagedObjective
from core.rotary import ROPE_THETA

Precision = Literal["auto", "fp32", "bf16"]
OptimizerName = Literal["muon", "adamw"]

MAX_LAYERS = 128
MAX_WIDTH = 16384
MAX_HEADS = 128
MAX_FFN_WIDTH = 65536
MAX_CONTEXT_LENGTH = 131072
MAX_VOCAB_SIZE = 262144
MAX_DEVICES = 64
MAX_PROMPTS = 32
MAX_PROMPT_LENGTH = 4096


def _is_none(value: object) -> bool:
    """What is None is left out of a spec's JSON, so that older specs keep their digests."""
    return value is None


def _is_false(value: object) -> bool:
    """Likewise for what older specs did not do."""
    return value is False


class ModelShape(Frozen):
    """The shape of a neural network; ``vocab_size`` is the number of rows of its embedding."""

    architecture: Architecture
    layers: int = Field(ge=1, le=MAX_LAYERS)
    width: int = Field(ge=8, le=MAX_WIDTH)
    heads: int = Field(ge=1, le=MAX_HEADS)
    kv_heads: int = Field(ge=1, le=MAX_HEADS)
    ffn_width: int = Field(ge=8, le=MAX_FFN_WIDTH)
    context_length: int = Field(ge=16, le=MAX_CONTEXT_LENGTH)
    vocab_size: int = Field(ge=64, le=MAX_VOCAB_SIZE)
    tie_embeddings: bool = True
    head_width: int | None = Field(default=None, ge=2, le=MAX_WIDTH, exclude_if=_is_none)
    """Of an attention head, where it is not ``width / heads``: only in uploaded decoders."""
    rope_theta: float | None = Field(default=None, gt=1, le=10**12, exclude_if=_is_none)
    """The rotary base, an encoder's for its global layers; None: the architecture's own."""

    @property
    def head_dim(self) -> int:
        """The width of one attention head."""
        return self.head_width or self.width // self.heads

    @property
    def rotary_base(self) -> float:
        """The base of the rotary wavelengths, an encoder's for its global layers."""
        return self.rope_theta or ROPE_THETA[self.architecture]

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads and self.head_width is None:
            raise ValueError(f"heads: width {self.width} is not divisible by heads {self.heads}")
        if self.head_dim % 2:
            raise ValueError(
                f"heads: width / heads is {self.head_dim}; rotary embeddings need an even number"
            )
        if self.heads % self.kv_heads:
            raise ValueError(
                f"kv_heads: heads {self.heads} is not divisible by kv_heads {self.kv_heads}"
            )
        if self.architecture == "encoder" and self.kv_heads != self.heads:
            raise ValueError("kv_heads: an encoder has as many kv_heads as heads")
        if self.architecture == "encoder" and not self.tie_embeddings:
            raise ValueError("tie_embeddings: an encoder's embedding and output are always tied")
        if self.architecture == "encoder" and self.head_width is not None:
            raise ValueError("head_width: an encoder's heads are width / heads wide")
        return self


class Budget(Frozen):
    """When to stop: whichever of the given limits is reached first."""

    tokens: Count | None = None
    steps: Count | None = None
    epochs: float | None = Field(default=None, gt=0, le=10_000)
    seconds: float | None = Field(default=None, gt=0, le=10**8)

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.tokens is self.steps is self.epochs is self.seconds is None:
            raise ValueError("a budget needs at least one of tokens, steps, epochs, seconds")
        return self

    @property
    def is_time_alone(self) -> bool:
        """Whether only the clock ends the job."""
        return self.tokens is self.steps is self.epochs is None

    def num_steps(self, *, batch_tokens: int, tokens_per_epoch: int) -> int | None:
        """Optimizer steps until the first of tokens, steps and epochs; None if only time counts."""
        limits = []
        if self.tokens is not None:
            limits.append(-(-self.tokens // batch_tokens))
        if self.steps is not None:
            limits.append(self.steps)
        if self.epochs is not None:
            limits.append(max(1, round(self.epochs * tokens_per_epoch / batch_tokens)))
        return min(limits, default=None)


class OptimizerSpec(Frozen):
    """Muon on the hidden matrices and AdamW on the rest, or AdamW on everything."""

    name: OptimizerName = "muon"
    learning_rate: float = Field(gt=0, le=10, description="Peak rate of the hidden matrices")
    weight_decay: float = Field(default=0.1, ge=0, le=1)
    cautious_decay: bool = Field(
        default=False,
        exclude_if=_is_false,
        description="Decay only where the update shrinks the weight as well",
    )
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    gradient_clip: float = Field(default=1.0, gt=0, le=1000)


class ScheduleSpec(Frozen):
    """How the learning rate moves over the budget: warm-up, stable, decay (arXiv 2404.06395)."""

    name: Literal["wsd", "cosine", "linear"] = "wsd"
    warmup: float = Field(default=0.02, ge=0, le=0.5, description="Share of the budget")
    decay: float = Field(default=0.4, ge=0, le=1, description="Share of the budget (wsd)")


class EarlyStoppingSpec(Frozen):
    """When a job ends before its budget is spent: held-out text has not become easier for long."""

    patience: int = Field(ge=1, le=10**6, description="Evaluations in a row without a gain")
    min_delta: float = Field(
        default=0.0, ge=0, le=100, description="What counts as one, of the metric that decides"
    )


class EvaluationSpec(Frozen):
    """What is measured on held-out text, and when; always once more at the end."""

    every_steps: int = Field(ge=1, le=10**9)
    prompts: tuple[Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_LENGTH)], ...] = Field(
        default=(), max_length=MAX_PROMPTS, strict=False, description="Continued by a decoder"
    )
    blanks: tuple[Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_LENGTH)], ...] = Field(
        default=(),
        max_length=MAX_PROMPTS,
        strict=False,
        description="Filled by an encoder, or by a decoder that is trained to",
    )
    max_tokens: int = Field(
        default=131_072, ge=1, le=10**9, description="Most held-out tokens read at each evaluation"
    )
    early_stopping: EarlyStoppingSpec | None = Field(default=None, exclude_if=_is_none)


class CheckpointSpec(Frozen):
    """When a checkpoint is saved and how many stay."""

    every_steps: int = Field(ge=1, le=10**9)
    keep_last: int = Field(default=2, ge=1, le=1000)
    keep_best: int = Field(default=1, ge=0, le=1000)


class ResourcesSpec(Frozen):
    """What the job runs on."""

    devices: int = Field(default=1, ge=1, le=MAX_DEVICES, description="Devices of one host")
    hosts: Literal[1] = 1


class StartSpec(Frozen):
    """The weights that a model starts from instead of fresh ones; never optimizer or step."""

    checkpoint: str
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of its ``model.safetensors``."""


class JobSpec(Frozen):
    """Everything that determines a job's result."""

    corpus: CorpusSpec
    """An id, or the corpora of a mixture."""
    tokenizer: str
    model: ModelShape
    start: StartSpec | None = Field(default=None, exclude_if=_is_none)
    """None: fresh weights."""
    objective: Objective
    budget: Budget
    batch_tokens: int = Field(ge=16, le=10**8)
    seed: int = Field(default=0, ge=0, lt=2**63)
    precision: Precision = "auto"
    optimizer: OptimizerSpec
    schedule: ScheduleSpec = ScheduleSpec()
    evaluation: EvaluationSpec
    checkpoints: CheckpointSpec
    resources: ResourcesSpec = ResourcesSpec()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        wanted = self.objective.architecture
        if self.model.architecture != wanted:
            raise PydanticCustomError(
                "objective_needs_another_architecture",
                "objective: {objective} trains a model of architecture {wanted}, "
                "but model.architecture is {given}; {rule}",
                {
                    "objective": repr(self.objective.label),
                    "wanted": repr(wanted),
                    "given": repr(self.model.architecture),
                    "rule": WHAT_TRAINS[self.model.architecture],
                },
            )
        if isinstance(self.objective, StagedObjective) and self.budget.is_time_alone:
            raise PydanticCustomError(
                "stages_need_steps",
                "objective: stages are shares of the budget's steps, whose number a budget in "
                "seconds alone does not give; add tokens, steps or epochs",
            )
        if self.batch_tokens % self.model.context_length:
            raise ValueError(
                f"batch_tokens: {self.batch_tokens} is not a multiple of the context length "
                f"{self.model.context_length}"
            )
        if self.sequences_per_step % self.resources.devices:
            raise ValueError(
                f"batch_tokens: {self.batch_tokens} are {self.sequences_per_step} sequences of "
                f"{self.model.context_length} tokens, which {self.resources.devices} devices "
                "cannot share evenly"
            )
        return self

    @property
    def corpus_shares(self) -> dict[str, float]:
        """The share of the samples that each corpus gives, by its id."""
        return weights_of(self.corpus)

    @property
    def sequences_per_step(self) -> int:
        """Windows of ``context_length`` tokens in one optimizer step."""
        return self.batch_tokens // self.model.context_length
