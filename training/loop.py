"""The training loop: one step from top to bottom, and what happens between steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from time import perf_counter

import torch

from core.lifecycle import StopReason
from core.spec import JobSpec
from models.language_model import LanguageModel
from training.backpropagation import Backpropagation
from training.examiner import Examiner
from training.loader import Loader
from training.micro_batches import micro_batches
from training.optimizers import Optimizer
from training.ports import Reporter, SavedCheckpoint, StopSignal
from training.rollback import Rollback, is_firm
from training.schedules import budget_progress, learning_rate_factor
from training.state import TrainingState
from training.telemetry import Stopwatch, Telemetry


class TrainingLoop:
    """Trains a model until its budget is spent or someone asks it to stop.

    The result does not depend on when it was interrupted: everything that the next step needs is
    in the model, the optimizer and :attr:`state`.
    """

    def __init__(
        self,
        spec: JobSpec,
        *,
        model: LanguageModel,
        backpropagation: Backpropagation,
        optimizer: Optimizer,
        loader: Loader,
        state: TrainingState,
        examiner: Examiner,
        save: Callable[[TrainingState], SavedCheckpoint],
        rollback: Rollback,
        reporter: Reporter,
        stop: StopSignal,
        stopwatch: Stopwatch,
        telemetry: Telemetry,
    ) -> None:
        """Nothing runs yet.

        Args:
            spec: What is asked for.
            model: The weights, on the device of ``state.execution``.
            backpropagation: Computes the model's gradients.
            optimizer: Moves the model's parameters.
            loader: Makes the batch of any step.
            state: Where to go on from.
            examiner: Measures the model, and puts the fixed prompts and blanks to it.
            save: Writes a checkpoint of model, optimizer and the given state.
            rollback: Knows the checkpoint to go back to when the loss has left for good.
            reporter: Hears what happens.
            stop: Asks to stop.
            stopwatch: The time spent on the job so far.
            telemetry: Says what a step has cost.
        """
        self.state = state
        self._spec = spec
        self._model = model
        self._backpropagation = backpropagation
        self._optimizer = optimizer
        self._loader = loader
        self._examiner = examiner
        self._save = save
        self._rollback = rollback
        self._reporter = reporter
        self._stop = stop
        self._stopwatch = stopwatch
        self._telemetry = telemetry
        self._num_steps = loader.num_steps
        self._parameters = list(model.parameters())
        self._has_news = False  # since the last checkpoint

    def run(self) -> StopReason | None:
        """Train on.

        Returns:
            None once the budget is spent and the last checkpoint saved; otherwise why it stopped:
            PAUSE and DRAIN after saving a checkpoint, CANCEL at once.

        Raises:
            Diverged: the loss left for good, and going back to earlier weights did not help.
        """
        self._reporter.phase("training")
        while True:
            finished = self._progress(self.state.step) >= 1
            reason = self._stop.requested()
            if reason is not None:
                if reason is not StopReason.CANCEL:
                    self._save_news()
                return reason
            if self._evaluation_is_due(finished=finished):
                self._look_at_held_out_text(finished=finished)
            if finished or self._checkpoint_is_due():
                self._save_news()
            if finished:
                return None
            self._train_one_step()
            if self.state.guard.has_lost_its_way:
                self._go_back()

    def _train_one_step(self) -> None:
        """Fetch, forward and backward by micro-batches, clip, check, update, report."""
        started = perf_counter()
        step = self.state.step
        batch = self._loader.batch(step)
        data_seconds = perf_counter() - started
        loss_sum = torch.zeros((), device=self._model.device)
        self._backpropagation.refresh()
        for part in micro_batches(
            batch, size=self.state.execution.micro_batch, device=self._model.device
        ):
            loss_sum += self._backpropagation.run(part)
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        loss, gradient_norm = loss_sum.item(), norm.item()
        guard = self.state.guard
        is_ordinary = guard.is_ordinary(loss=loss, gradient_norm=gradient_norm)
        rate_factor = guard.rate_factor * learning_rate_factor(
            self._spec.schedule, progress=self._progress(step + 0.5)
        )
        if is_ordinary:
            torch.nn.utils.clip_grads_with_norm_(
                self._parameters, self._spec.optimizer.gradient_clip, norm
            )
            self._optimizer.step(rate_factor)
        torch._foreach_zero_(gradients)
        self._finish_step(
            batch.num_tokens,
            loss=loss,
            gradient_norm=gradient_norm,
            learning_rate=self._spec.optimizer.learning_rate * rate_factor,
            skipped=not is_ordinary,
            costs=self._telemetry.of_step(
                num_tokens=batch.num_tokens,
                seconds=perf_counter() - started,
                data_seconds=data_seconds,
            ),
        )

    def _finish_step(
        self,
        num_tokens: int,
        *,
        loss: float,
        gradient_norm: float,
        learning_rate: float,
        skipped: bool,
        costs: Mapping[str, float],
    ) -> None:
        """Count the step and tell the reporter."""
        step = self.state.step + 1
        guard = self.state.guard.after(loss=loss, gradient_norm=gradient_norm, skipped=skipped)
        if self._loader.begins_stage(step):
            guard = guard.at_another_objective()
        values = _finite(
            {
                "train/loss": loss,
                "optimizer/learning_rate": 0.0 if skipped else learning_rate,
                "optimizer/gradient_norm": gradient_norm,
                **costs,
            }
        )
        self.state = replace(
            self.state,
            step=step,
            tokens=self.state.tokens + num_tokens,
            metrics={
                **self.state.metrics,
                **{name: value for name, value in values.items() if name == "train/loss"},
            },
            guard=guard,
        )
        self._has_news = True
        self._report(values)
        if skipped:
            self._reporter.notice(
                code="step_skipped",
                message="A step was skipped, for its loss or its gradient was far out of the "
                "ordinary: it has changed no weights.",
                data={"step": step, "loss": str(loss), "gradient_norm": str(gradient_norm)},
            )

    def _go_back(self) -> None:
        """Return to earlier weights, with a lower learning rate; text that was read stays read."""
        guard = self.state.guard.rolled_back()
        returned_to = self._rollback.go_back()
        self.state = replace(self.state, guard=guard)
        self._reporter.notice(
            code="rolled_back",
            message=f"After step {self.state.step} the loss had left for good. The weights went "
            f"back to those of step {returned_to}, and the learning rate is {guard.rate_factor:g} "
            "times what it would be. The text in between is not read again.",
            data={"step": self.state.step, "returned_to": returned_to},
        )

    def _progress(self, step: float) -> float:
        """How much of the budget is spent at this step; the clock matters only if it is asked."""
        return budget_progress(
            step=step,
            num_steps=self._num_steps,
            elapsed_seconds=self._stopwatch.seconds(),
            seconds=self._spec.budget.seconds,
        )

    def _evaluation_is_due(self, *, finished: bool) -> bool:
        step = self.state.step
        due = finished or step % self._spec.evaluation.every_steps == 0
        return due and self.state.evaluated_step != step

    def _look_at_held_out_text(self, *, finished: bool) -> None:
        self._reporter.phase("evaluating")
        measured = {
            **self._examiner.evaluate(self._model, is_last=finished),
            **self._loader.epochs(self.state.step),
        }
        guard = self.state.guard.after_looking(measured)
        if finished:
            guard.require_a_result(measured)
        samples = self._examiner.probe(self._model)
        values = _finite(measured)
        earlier = {name: v for name, v in self.state.metrics.items() if name not in measured}
        self.state = replace(
            self.state,
            evaluated_step=self.state.step,
            metrics={**earlier, **values},
            samples=samples,
            guard=guard,
        )
        self._has_news = True
        self._report(values)
        self._reporter.probed(
            step=self.state.step,
            continuations=samples.continuations,
            fillings=samples.fillings,
        )
        self._reporter.phase("training")

    def _checkpoint_is_due(self) -> bool:
        return self.state.step > 0 and is_firm(self.state, self._spec.checkpoints)

    def _save_news(self) -> None:
        """Save a checkpoint unless the last one says it all."""
        if not self._has_news or self.state.step == 0:
            return
        self._reporter.phase("saving")
        self.state = replace(self.state, elapsed_seconds=self._stopwatch.seconds())
        saved = self._save(self.state)
        self._reporter.checkpoint_saved(saved)
        if is_firm(self.state, self._spec.checkpoints):
            self._rollback.to = saved.path
        self._has_news = False
        self._reporter.phase("training")

    def _report(self, values: Mapping[str, float]) -> None:
        self._reporter.metrics(step=self.state.step, tokens=self.state.tokens, values=values)


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that can be drawn, stored and compared."""
    return {name: value for name, value in values.items() if math.isfinite(value)}
