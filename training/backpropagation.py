"""The forward and backward passes of a step: what it spends nearly all of its time in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from copy import deepcopy
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.language_model import LanguageModel
from training.compiling import compiled
from training.execution import Execution
from training.micro_batches import MicroBatch


class Backpropagation:
    """Adds the gradients of a step to those of a model's weights.

    Where an execution has replicas, as many micro-batches go through the model at once, each in a
    thread with its share of the cores: no core waits for the others at the end of every product.
    Each replica adds up gradients of its own, and the sum of these has the same bits every time.
    """

    def __init__(self, model: LanguageModel, *, execution: Execution) -> None:
        """Nothing is compiled before the first :meth:`run`.

        Args:
            model: Its parameters' ``grad`` are added to; its weights are only read.
            execution: The precision and the kernels to compute with, and how many replicas.
        """
        self._replicas = [
            _Replica(model if number == 0 else _with_gradients_of_its_own(model), execution)
            for number in range(execution.replicas)
        ]
        self._threads = ThreadPoolExecutor(
            execution.replicas,
            thread_name_prefix="replica",
            initializer=torch.set_num_threads,
            initargs=(max(1, execution.threads // execution.replicas),),
        )

    def run(self, parts: Iterable[MicroBatch]) -> Tensor:
        """Forward and backward, with the weights as they are now.

        Args:
            parts: Of one step.

        Returns:
            Their share of the step's loss, a scalar.
        """
        first, *others = self._replicas
        if not others:
            return first.run(parts)
        parts = list(parts)
        running = [
            self._threads.submit(replica.run, parts[number :: len(self._replicas)])
            for number, replica in enumerate(self._replicas)
        ]
        wait(running)  # all of them: after an error none is left at work
        losses = [replica.result() for replica in running]
        for replica in others:
            first.take_gradients(replica)
        return torch.stack(losses).sum()


class _Replica:
    """A way through the model, with gradients of its own.

    In bf16 the model's own fp32 weights are the masters: the passes go through a copy whose
    matrices are bf16, made once a step, and its gradients are summed in fp32.
    """

    def __init__(self, model: LanguageModel, execution: Execution) -> None:
        self._parameters = list(model.parameters())
        self._device = model.device
        self._copy = _Copy.of(model, precision=execution.compute_dtype)
        worker = self._copy.model
        worker.kernel = execution.attention
        self._loss = compiled(worker.loss) if execution.compiled else worker.loss

    def run(self, parts: Iterable[MicroBatch]) -> Tensor:
        """Forward and backward, one after the other; the sum of their losses."""
        self._copy.refresh()
        loss_sum = torch.zeros((), device=self._device)
        for part in parts:
            loss = self._loss(
                part.input_ids,
                labels=part.labels,
                weights=part.weights,
                positions=part.positions,
                documents=part.documents,
                causal=part.causal,
            )
            loss.backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.detach()
        return loss_sum

    @torch.no_grad()
    def take_gradients(self, other: _Replica) -> None:
        """Add those of another, and leave it none."""
        both = [
            (mine.grad, theirs.grad)
            for mine, theirs in zip(self._parameters, other._parameters, strict=True)
            if mine.grad is not None and theirs.grad is not None
        ]
        if both:
            mine, theirs = zip(*both, strict=True)
            torch._foreach_add_(mine, theirs)
            torch._foreach_zero_(theirs)


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
        copy = _sharing_tensors(model, but={id(master): own for master, own in matrices})
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


def _with_gradients_of_its_own(model: LanguageModel) -> LanguageModel:
    """A model of the same weights, in the same memory, whose ``grad`` are others."""
    return _sharing_tensors(
        model, but={id(weight): nn.Parameter(weight.detach()) for weight in model.parameters()}
    )


def _sharing_tensors(model: LanguageModel, *, but: Mapping[int, nn.Parameter]) -> LanguageModel:
    """A copy of a model that shares its tensors but those of these ids, which become others."""
    # not a new model on the "meta" device: torch makes a rotary table there in Python, for which
    # it imports its compiler, and every job would wait two seconds longer
    shared: dict[int, Any] = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return deepcopy(model, {**shared, **but})
