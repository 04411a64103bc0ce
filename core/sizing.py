"""Sizing arithmetic: parameters, floating-point operations, and the rules for what is not given.

The rules for batch, learning rate and vocabulary follow power laws through published points
(arXiv 2401.02954, 2305.16264); ``N`` is the number of parameters. They aim at shapes of any size:
whatever is not given is decided here once and written into the job's spec.
"""

from __future__ import annotations

import math

from core.objectives import (
    AnyObjective,
    MaskedObjective,
    MixObjective,
    SpanCorruptionObjective,
    StagedObjective,
)
from core.spec import ModelShape, OptimizerName

DEFAULT_TOKENS_PER_PARAMETER = 12
DEFAULT_EPOCHS = 4.0
"""Up to about four passes are as good as fresh text (arXiv 2305.16264)."""

_REFERENCE_PARAMETERS = 108e6
_ADAMW_RATE = 0.15
_SMALL_BATCH_TOKENS = 2**18
_LONGEST_WARMUP, _UNTIMED_WARMUP = 0.1, 0.02
_VOCABULARY_BY_BYTES = ((20e6, 4096), (200e6, 8192), (1e9, 16384), (50e9, 32768))
_LARGEST_VOCABULARY = 65536

ENCODER_GLOBAL_EVERY = 3
"""Every third layer of an encoder attends globally, the others locally (arXiv 2412.13663)."""
ENCODER_LOCAL_WINDOW = 128
"""Tokens a local layer sees: 64 to each side."""


def num_parameters(shape: ModelShape) -> int:
    """The number of trained numbers of a model; a tied matrix counts once."""
    d, f, v = shape.width, shape.ffn_width, shape.vocab_size
    if shape.architecture == "decoder":
        q_width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        attention = 2 * d * q_width + 2 * d * kv_width + 2 * shape.head_dim
        layer = attention + 3 * d * f + 2 * d
        embeddings = v * d if shape.tie_embeddings else 2 * v * d
        return embeddings + shape.layers * layer + d
    layer = 4 * d * d + 3 * d * f + 2 * d
    head = d * d + d + v  # dense, norm, and the bias of the tied output
    return v * d + d + shape.layers * layer - d + d + head  # layer 0 has no attention norm


def flops_per_token(shape: ModelShape, *, objective: AnyObjective | None = None) -> int:
    """Floating-point operations to train on one token: 6 per matrix weight, and attention's own.

    Follows the accounting of PaLM (arXiv 2204.02311, appendix B): the embedding look-up is free,
    the output projection is not; a causal layer sees half of the context on average.

    Args:
        shape: The model's.
        objective: What it is trained by: nothing is said, and no output computed, about tokens
            that were not removed. None: every token is predicted.
    """
    matrices = num_parameters(shape)
    if not shape.tie_embeddings:
        matrices -= shape.vocab_size * shape.width
    if objective is not None:
        head = shape.width**2 if shape.architecture == "encoder" else 0
        silent_share = 1 - _predicted_share(objective)
        matrices -= round(silent_share * (shape.vocab_size * shape.width + head))
    attention = 0
    for layer in range(shape.layers):
        if shape.architecture == "decoder":
            seen = shape.context_length / 2
        elif layer % ENCODER_GLOBAL_EVERY == 0:
            seen = shape.context_length
        else:
            seen = min(ENCODER_LOCAL_WINDOW, shape.context_length)
        attention += int(12 * shape.heads * shape.head_dim * seen)
    return 6 * matrices + attention


def _predicted_share(objective: AnyObjective) -> float:
    """The share of the tokens that a model says something about."""
    match objective:
        case StagedObjective(stages=stages):
            starts = [0.0, *(stage.until for stage in stages)]
            return sum(
                (stage.until - start) * _predicted_share(stage.objective)
                for start, stage in zip(starts, stages, strict=False)
            )
        case MixObjective(parts=parts, shares=shares):
            return sum(
                share * _predicted_share(part.objective)
                for share, part in zip(shares, parts, strict=True)
            )
        case MaskedObjective(rate=rate):
            return rate
        case SpanCorruptionObjective(rate=rate, mean_span=mean_span):
            return min(1.0, rate * (1 + 1 / mean_span))  # the removed words, and a mark for each
        case _:
            return 1.0


def default_batch_tokens(shape: ModelShape) -> int:
    """Tokens a step for a shape that is no preset: ``2048 * 160 * (N / 108M)^(2/3)``.

    Rounded to whole windows of ``context_length`` tokens, at least one.
    """
    wanted = 2048 * 160 * math.pow(num_parameters(shape) / _REFERENCE_PARAMETERS, 2 / 3)
    return max(1, round(wanted / shape.context_length)) * shape.context_length


def default_learning_rate(
    shape: ModelShape, optimizer: OptimizerName, *, batch_tokens: int | None = None
) -> float:
    """The peak rate, to three digits: ``0.5 * 0.0047 * (N / 108M)^(-1/3)``, at most 0.02, for Muon.

    That is for the batch that suits the shape. A smaller one says less about where to go, and
    Muon's steps are as long as before: its rate falls with the fourth root. An encoder, which
    learns from the removed words alone, learns nothing but their frequencies for long otherwise
    (docs/log.md).

    AdamW alone gets 0.15 of the rule, for any batch: 0.00035 at 108M, and at 1.4M the 0.0015 that
    learned best of the rates that were tried, on small batches; the whole one learned next to
    nothing there.

    Args:
        shape: The model's.
        optimizer: Which moves its matrices.
        batch_tokens: Tokens a step; None: as many as suit the shape.
    """
    rate = min(0.5 * 0.0047 * math.pow(num_parameters(shape) / _REFERENCE_PARAMETERS, -1 / 3), 0.02)
    if optimizer == "adamw":
        rate *= _ADAMW_RATE
    elif batch_tokens is not None:
        rate *= min(1.0, math.pow(batch_tokens / default_batch_tokens(shape), 1 / 4))
    return float(f"{rate:.3g}")


def default_beta2(batch_tokens: int) -> float:
    """How slowly AdamW forgets squared gradients: 0.95, and 0.99 for small batches.

    What counts is over how many tokens it looks back, not over how many steps (arXiv 2507.07101):
    0.99 looks back as far at 100k tokens a step as 0.95 at 512k. Each batch gets the nearer one.
    """
    return 0.99 if batch_tokens < _SMALL_BATCH_TOKENS else 0.95


def default_warmup(shape: ModelShape, *, num_tokens: int | None) -> float:
    """The share of a budget in which the rate rises: about ``N`` tokens, at most a tenth.

    Args:
        shape: The model's.
        num_tokens: The budget; None: not known, since only the clock ends it.
    """
    if num_tokens is None:
        return _UNTIMED_WARMUP
    return round(min(_LONGEST_WARMUP, num_parameters(shape) / num_tokens), 4)


def default_vocab_size(num_bytes: int) -> int:
    """The vocabulary that suits a corpus of ``num_bytes`` of text; a multiple of 64."""
    for limit, vocab_size in _VOCABULARY_BY_BYTES:
        if num_bytes <= limit:
            return vocab_size
    return _LARGEST_VOCABULARY


def largest_divisor(number: int, *, limit: int) -> int:
    """The largest divisor of ``number`` that is at most ``limit``, and at least 1."""
    return next(size for size in range(min(number, max(1, limit)), 0, -1) if number % size == 0)
