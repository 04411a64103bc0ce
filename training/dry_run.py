"""A rehearsal before the first step: what does not work is found out, and done otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import torch

from core.memory_errors import is_out_of_memory
from core.sizing import largest_divisor
from core.spec import ModelShape
from models.language_model import LanguageModel
from training.backpropagation import Backpropagation
from training.execution import Execution, attention_kernel
from training.loader import Batch
from training.micro_batches import micro_batches
from training.optimizers import Optimizer
from training.ports import Reporter

_MESSAGE_LENGTH: Final = 300


def rehearse(
    model: LanguageModel,
    *,
    optimizer: Optimizer,
    batches: Sequence[Batch],
    execution: Execution,
    reporter: Reporter,
) -> tuple[Backpropagation, Execution]:
    """Try a micro-batch of each of ``batches``, and settle for what this machine can do.

    Compiles the kernels, if the job is to be compiled; the optimizer's on a GPU alone, since a CPU
    spends their time in matrix products, which stay what they are (docs/log.md). Changes nothing:
    afterwards weights and random generators are as before, and no gradients are left.

    Args:
        model: What will be trained, on its device.
        optimizer: Of the model.
        batches: One for each shape that training will meet.
        execution: How the job is to run.
        reporter: Hears what is done otherwise.

    Returns:
        The passes, ready, and how the job runs: eager where kernels could not be compiled, with
        smaller micro-batches where the device's memory was too small.

    Raises:
        RuntimeError: not even one sequence at a time gets through.
    """
    while True:
        backpropagation = Backpropagation(model, execution=execution)
        try:
            _run(backpropagation, batches, execution=execution, device=model.device)
            optimizer.rehearse(compile_it=execution.compiled and execution.device == "cuda")
        except RuntimeError as error:
            lesser = _lesser(
                execution,
                error,
                shape=model.shape,
                batches=batches,
            )
            if lesser is None:
                raise
            _tell(reporter, error, before=execution, now=lesser)
            execution = lesser
        else:
            return backpropagation, execution
        finally:
            model.zero_grad(set_to_none=True)
        # outside the handler, whose error holds on to the memory of what failed
        if execution.device == "cuda":
            torch.cuda.empty_cache()


def _run(
    backpropagation: Backpropagation,
    batches: Sequence[Batch],
    *,
    execution: Execution,
    device: torch.device,
) -> None:
    """One micro-batch of each batch, and of each replica."""
    for batch in batches:
        parts = micro_batches(
            batch, size=execution.micro_batch, num_labels=batch.num_labels, device=device
        )
        backpropagation.run(islice(parts, execution.replicas))
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # so that its errors come here


def _lesser(
    execution: Execution, error: RuntimeError, *, shape: ModelShape, batches: Sequence[Batch]
) -> Execution | None:
    """What asks less of the machine and may get around ``error``; None if nothing does."""
    if is_out_of_memory(error):
        size = execution.micro_batch
        if size == 1:
            return None
        half = largest_divisor(len(batches[0].input_ids), limit=size // 2)
        return replace(execution, micro_batch=half)
    if not execution.compiled:
        return None
    attention = attention_kernel(
        shape,
        has_document_mask=any(batch.documents is not None for batch in batches),
        device=execution.device,
        compiled=False,
    )
    return replace(execution, compiled=False, attention=attention)


def _tell(reporter: Reporter, error: RuntimeError, *, before: Execution, now: Execution) -> None:
    cause = " ".join((str(error) or repr(error)).split())[:_MESSAGE_LENGTH]
    if now.micro_batch != before.micro_batch:
        reporter.notice(
            code="micro_batch_halved",
            message=f"The device's memory is too small for {before.micro_batch} sequences at a "
            f"time; from now on {now.micro_batch}, and as many tokens a step.",
            data={
                "micro_batch_before": before.micro_batch,
                "micro_batch": now.micro_batch,
                "cause": cause,
            },
        )
    else:
        reporter.notice(
            code="not_compiled",
            message="Kernels for this model could not be compiled; it is trained without, which "
            "takes longer.",
            data={"cause": cause},
        )
