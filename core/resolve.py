"""From a request to a spec: every default is decided here, and nowhere else.

Pure arithmetic on the request and on a few facts about the data (the sizes of the vocabulary
and of the training splits), so that the same request on the same corpus always gives the same spec.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from core.errors import InvalidRequest
from core.job_request import JobRequest, ModelRequest, OptimizerRequest, ScheduleRequest
from core.mixture import MixtureComponent
from core.objectives import Architecture, StagedObjective, filling_objective
from core.presets import PRESETS, Preset
from core.rotary import raised_theta
from core.sizing import (
    DEFAULT_EPOCHS,
    DEFAULT_TOKENS_PER_PARAMETER,
    default_batch_tokens,
    default_beta2,
    default_learning_rate,
    default_warmup,
    num_parameters,
)
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
    ScheduleSpec,
    StartSpec,
)

_EVALUATIONS_PER_JOB = 10
_FFN_MULTIPLE = 128
_DEFAULT_CONTEXT_LENGTH = 512
_FEWEST_STEPS = 500
"""A small corpus gets a smaller batch rather than fewer optimizer steps than this."""
_UNTIMED_STEPS = 1000
"""How long a job is taken to be when only the clock limits it."""
_EVALUATION_SHARE = 0.03
"""Held-out tokens a look, of all tokens trained on: ten looks then cost a tenth of the job."""
_FEWEST_EVALUATION_TOKENS, _MOST_EVALUATION_TOKENS = 8_192, 131_072
_LONGEST_EVALUATION_GAP = 1000
_TOO_OFTEN = 1.1
"""Of the number of passes that are as good as fresh text: a window more is not worth a word."""
_OWN_CODES = frozenset({"objective_needs_another_architecture", "stages_need_steps"})
"""Findings of a spec that have a code of their own."""


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """What a spec depends on of a corpus that is ready."""

    id: str
    digest: str
    train_tokens: int
    """About how many tokens its training split has."""


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """What a spec depends on of the checkpoint that its model starts from."""

    id: str
    weights_sha256: str
    shape: ModelShape


@dataclass(frozen=True, slots=True)
class Resolved:
    """A complete spec, and what the user should know about how it was made."""

    spec: JobSpec
    warnings: tuple[str, ...]


def resolve(
    request: JobRequest,
    *,
    corpora: Sequence[CorpusFacts],
    tokenizer_id: str,
    vocab_size: int,
    start: CheckpointFacts | None = None,
) -> Resolved:
    """Decide everything that the request leaves open.

    Args:
        request: What the user asked for.
        corpora: The corpora of the request, in their order.
        tokenizer_id: The tokenizer, ready.
        vocab_size: The tokenizer's number of tokens.
        start: The checkpoint that ``request.model`` names; its tokenizer is ``tokenizer_id``.

    Raises:
        InvalidRequest: the parts do not fit together; ``param`` names the first wrong field.
    """
    resolved = _resolve(
        request, corpora=corpora, tokenizer_id=tokenizer_id, vocab_size=vocab_size, start=start
    )
    _require_a_step_of_each_stage(
        resolved.spec, train_tokens=sum(corpus.train_tokens for corpus in corpora)
    )
    return resolved


def _resolve(
    request: JobRequest,
    *,
    corpora: Sequence[CorpusFacts],
    tokenizer_id: str,
    vocab_size: int,
    start: CheckpointFacts | None,
) -> Resolved:
    """As :func:`resolve`, but for what depends on how much text there is."""
    architecture = request.architecture if start is None else start.shape.architecture
    preset = _preset(request.model, architecture)
    train_tokens = sum(corpus.train_tokens for corpus in corpora)
    try:
        if start is None:
            shape = _shape(request.model, architecture, preset, vocab_size)
        else:
            shape = _continued_shape(request.model, start)
        budget = request.budget or Budget(
            tokens=DEFAULT_TOKENS_PER_PARAMETER * num_parameters(shape), epochs=DEFAULT_EPOCHS
        )
        batch_tokens = request.batch_tokens or _batch_tokens(
            request.model,
            shape,
            preset,
            budget,
            train_tokens,
            num_devices=request.resources.devices,
        )
        known_steps = budget.num_steps(batch_tokens=batch_tokens, tokens_per_epoch=train_tokens)
        num_steps = known_steps or _UNTIMED_STEPS
        every_steps = min(_LONGEST_EVALUATION_GAP, max(1, num_steps // _EVALUATIONS_PER_JOB))
        spec = JobSpec(
            corpus=_corpus(request, corpora),
            tokenizer=tokenizer_id,
            model=shape,
            start=None
            if start is None
            else StartSpec(checkpoint=start.id, weights_sha256=start.weights_sha256),
            objective=request.objective,
            budget=budget,
            batch_tokens=batch_tokens,
            seed=request.seed,
            precision=request.precision,
            optimizer=_optimizer(request.optimizer, shape, batch_tokens),
            schedule=_schedule(request.schedule, shape, known_steps and known_steps * batch_tokens),
            evaluation=EvaluationSpec(
                every_steps=request.evaluation.every_steps or every_steps,
                prompts=tuple(request.evaluation.prompts) if architecture == "decoder" else (),
                blanks=tuple(request.evaluation.blanks) if _fills(request, architecture) else (),
                max_tokens=request.evaluation.max_tokens
                or _evaluation_tokens(num_steps * batch_tokens),
                early_stopping=request.evaluation.early_stopping,
            ),
            checkpoints=CheckpointSpec(
                every_steps=request.checkpoints.every_steps
                or request.evaluation.every_steps
                or every_steps,
                keep_last=request.checkpoints.keep_last,
                keep_best=request.checkpoints.keep_best,
            ),
            resources=request.resources,
        )
    except ValidationError as error:
        raise _as_invalid_request(error) from None
    warnings = [*_warnings(request, architecture), *_repetitions(spec, corpora)]
    return Resolved(spec=spec, warnings=tuple(warnings))


def _require_a_step_of_each_stage(spec: JobSpec, *, train_tokens: int) -> None:
    num_steps = spec.budget.num_steps(batch_tokens=spec.batch_tokens, tokens_per_epoch=train_tokens)
    if isinstance(spec.objective, StagedObjective) and num_steps is not None:
        spec.objective.ends(num_steps)


def check(request: JobRequest, *, start: CheckpointFacts | None = None) -> None:
    """Find what no corpus or tokenizer could mend, before either is known.

    Raises:
        InvalidRequest: as :func:`resolve`.
    """
    corpora = [CorpusFacts(id_, digest="", train_tokens=10**6) for id_ in request.corpus_shares]
    _resolve(request, corpora=corpora, tokenizer_id="tokenizer", vocab_size=4096, start=start)


def _corpus(
    request: JobRequest, corpora: Sequence[CorpusFacts]
) -> str | tuple[MixtureComponent, ...]:
    if isinstance(request.corpus, str):
        return request.corpus
    digests = {corpus.id: corpus.digest for corpus in corpora}
    return tuple(
        MixtureComponent(corpus=part.corpus, weight=part.weight, digest=digests[part.corpus])
        for part in request.corpus
    )


def _preset(model: ModelRequest, architecture: Architecture) -> Preset | None:
    if model.preset is None:
        return None
    known = PRESETS[architecture]
    if model.preset not in known:
        raise InvalidRequest(
            f"There is no {architecture} of size {model.preset!r}; known: {', '.join(known)}.",
            code="unknown_preset",
            param="model.preset",
        )
    return known[model.preset]


def _shape(
    model: ModelRequest, architecture: Architecture, preset: Preset | None, vocab_size: int
) -> ModelShape:
    given = model.model_dump(exclude={"preset", "architecture"}, exclude_none=True)
    if preset is not None:
        base = preset.shape(vocab_size=vocab_size).model_dump()
        if "heads" in given and "kv_heads" not in given:
            given["kv_heads"] = given["heads"]
        return ModelShape(**{**base, **given})
    width = given["width"]
    expansion = 8 / 3 if architecture == "decoder" else 5 / 3
    rounded = max(1, round(expansion * width / _FFN_MULTIPLE)) * _FFN_MULTIPLE
    defaults = {
        "kv_heads": given["heads"],
        "ffn_width": rounded,
        "context_length": _DEFAULT_CONTEXT_LENGTH,
    }
    return ModelShape(architecture=architecture, vocab_size=vocab_size, **{**defaults, **given})


def _continued_shape(model: ModelRequest, start: CheckpointFacts) -> ModelShape:
    """The checkpoint's shape, with another context if that is asked for; see ``core.rotary``."""
    before = start.shape
    length = model.context_length or before.context_length
    if length <= before.context_length:
        return before.model_copy(update={"context_length": length})
    theta = raised_theta(
        before.rotary_base,
        head_dim=before.head_dim,
        before=before.context_length,
        after=length,
    )
    return before.model_copy(update={"context_length": length, "rope_theta": theta})


def _batch_tokens(
    model: ModelRequest,
    shape: ModelShape,
    preset: Preset | None,
    budget: Budget,
    train_tokens: int,
    *,
    num_devices: int,
) -> int:
    """The preset's batch or the rule's, less where that would leave too few optimizer steps."""
    is_whole_preset = preset is not None and model == ModelRequest(preset=model.preset)
    usual = preset.batch_tokens if preset and is_whole_preset else default_batch_tokens(shape)
    limits = [budget.tokens] if budget.tokens is not None else []
    if budget.epochs is not None:
        limits.append(int(budget.epochs * train_tokens))
    fitting = min(limits, default=usual * _FEWEST_STEPS) // _FEWEST_STEPS
    batch = min(usual, max(fitting, usual // 16))
    # a power of two of windows divides into micro-batches of any size
    exponent = max(0, round(math.log2(batch / shape.context_length)))
    windows = math.ceil((1 << exponent) / num_devices) * num_devices
    return windows * shape.context_length


def _optimizer(asked: OptimizerRequest, shape: ModelShape, batch_tokens: int) -> OptimizerSpec:
    by_rule = {
        "learning_rate": default_learning_rate(shape, asked.name, batch_tokens=batch_tokens),
        "beta2": default_beta2(batch_tokens),
    }
    return OptimizerSpec(**{**by_rule, **asked.model_dump(exclude_none=True)})


def _schedule(asked: ScheduleRequest, shape: ModelShape, num_tokens: int | None) -> ScheduleSpec:
    by_rule = {"warmup": default_warmup(shape, num_tokens=num_tokens)}
    return ScheduleSpec(**{**by_rule, **asked.model_dump(exclude_none=True)})


def _evaluation_tokens(train_tokens: int) -> int:
    """How much held-out text each evaluation reads."""
    wanted = int(train_tokens * _EVALUATION_SHARE)
    return min(max(wanted, _FEWEST_EVALUATION_TOKENS), _MOST_EVALUATION_TOKENS)


def _fills(request: JobRequest, architecture: Architecture) -> bool:
    """Whether the model learns to fill gaps."""
    return architecture == "encoder" or filling_objective(request.objective) is not None


def _warnings(request: JobRequest, architecture: Architecture) -> list[str]:
    warnings = []
    if architecture == "encoder" and request.evaluation.prompts:
        warnings.append("evaluation.prompts: an encoder does not continue text; they are left out.")
    if request.evaluation.blanks and not _fills(request, architecture):
        warnings.append(
            f"evaluation.blanks: a decoder fills no gaps that is trained with "
            f"{request.objective.label!r}; they are left out. fill_in_the_middle teaches it, alone "
            "or in a mix."
        )
    is_mixture = not isinstance(request.corpus, str)
    if is_mixture and request.tokenizer is None and request.model.from_checkpoint is None:
        warnings.append(
            f"tokenizer: the default one of corpus {request.main_corpus}, which has the largest "
            "share, encodes the whole mixture."
        )
    return warnings


def _repetitions(spec: JobSpec, corpora: Sequence[CorpusFacts]) -> list[str]:
    """Which corpora come round more often than is of much use."""
    num_steps = spec.budget.num_steps(
        batch_tokens=spec.batch_tokens,
        tokens_per_epoch=sum(corpus.train_tokens for corpus in corpora),
    )
    if num_steps is None:
        return []
    tokens = num_steps * spec.batch_tokens
    epochs = {
        corpus.id: tokens * spec.corpus_shares[corpus.id] / max(1, corpus.train_tokens)
        for corpus in corpora
    }
    return [
        f"corpus: {corpus_id} is read {number:.1f} times; beyond about {DEFAULT_EPOCHS:.0f} times "
        "a text teaches much less than fresh text."
        for corpus_id, number in epochs.items()
        if number > _TOO_OFTEN * DEFAULT_EPOCHS
    ]


def _as_invalid_request(error: ValidationError) -> InvalidRequest:
    """Our own checks name their field before the colon: ``heads: width 100 is not ...``."""
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    path = [str(part) for part in first["loc"]]
    field, colon, _ = message.partition(":")
    if colon and field.isidentifier():
        inside_model = field in ModelShape.model_fields and field not in JobSpec.model_fields
        path += ["model", field] if inside_model else [field]
    elif path:
        message = f"{'.'.join(path)}: {message} (got {first['input']})."
    kind = str(first["type"])
    return InvalidRequest(
        message, code=kind if kind in _OWN_CODES else None, param=".".join(path) or None
    )
