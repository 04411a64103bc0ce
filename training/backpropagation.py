"""The forward and backward pass of a micro-batch: what a step spends nearly all of its time in."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.language_model import LanguageModel
from training.compiling import compiled
from training.execution import Execution
from training.micro_batches import MicroBatch


class Backpropagation:
    """Adds the gradients of micro-batches to those of a model's weights.

    In bf16 the model's own fp32 weights are the masters: the passes go through a copy whose
    matrices are bf16, made once a step, and its gradients are summed in fp32.
    """

    def __init__(self, model: LanguageModel, *, execution: Execution) -> None:
        """Nothing is compiled before the first :meth:`run`.

        Args:
            model: Its parameters' ``grad`` are added to; its weights are only read.
            execution: The precision and the kernels to compute with.
        """
        self._copy = _Copy.of(model, precision=execution.compute_dtype)
        worker = self._copy.model
        worker.kernel = execution.attention
        self._loss = compiled(worker.loss) if execution.compiled else worker.loss

    def refresh(self) -> None:
        """Take over what the optimizer has made of the weights; once before the parts of a step."""
        self._copy.refresh()

    def run(self, part: MicroBatch) -> Tensor:
        """Forward and backward; the part's share of the step's loss, a scalar."""
        loss = self._loss(
            part.input_ids,
            labels=part.labels,
            weights=part.weights,
            positions=part.positions,
            documents=part.documents,
            causal=part.causal,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


class _Copy:
    """A model whose hidden matrices are bf16 copies of another's; all else is shared.

    In fp32 everything is shared. The embedding and the output projection stay fp32: the gradients
    that a frequent token adds up within a micro-batch would be rounded away in bf16.
    """

    def __init__(
        self, model: LanguageModel, matrices: list[tuple[nn.Parameter, nn.Parameter]]
    ) -> None:
        self.model = model
        self._masters: list[Tensor] = [master for master, _ in matrices]
        self._copies: list[Tensor] = [copy for _, copy in matrices]
        for master, copy in matrices:
            copy.register_post_accumulate_grad_hook(_HandOver(master))  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, model: LanguageModel, *, precision: torch.dtype) -> Self:
        """A copy of ``model`` that hands its gradients over."""
        tables = {id(model.input_table), id(model.output_table)}
        matrices = [
            (master, nn.Parameter(master.detach().to(precision)))
            for master in model.parameters()
            if master.ndim > 1 and id(master) not in tables and master.dtype != precision
        ]
        # not a new model on the "meta" device: torch makes a rotary table there in Python, for
        # which it imports its compiler, and every job would wait two seconds longer
        tensors: dict[int, Any] = {id(t): t for t in (*model.parameters(), *model.buffers())}
        copy = deepcopy(model, tensors | {id(master): own for master, own in matrices})
        copy.compute_dtype = precision
        return cls(copy, matrices)

    @torch.no_grad()
    def refresh(self) -> None:
        """Round the masters again."""
        if self._copies:
            torch._foreach_copy_(self._copies, self._masters)


class _HandOver:
    """Adds a gradient of the copy to that of its master, and lets it go."""

    def __init__(self, master: nn.Parameter) -> None:
        self._master = master

    def __call__(self, copy: Tensor) -> None:
        gradient = copy.grad
        assert gradient is not None  # it has just been accumulated
        if self._master.grad is None:
            self._master.grad = gradient.to(self._master.dtype)
        else:
            self._master.grad.add_(gradient)
        copy.grad = None
