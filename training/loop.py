"""The training loop: one step from top to bottom, and what happens between steps."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from time import perf_counter

import torch
from torch import Tensor

from core.lifecycle import StopReason
from core.sizing import flops_per_token
from core.spec import JobSpec
from models.language_model import LanguageModel
from training.background_saver import BackgroundSaver
from training.backpropagation import Backpropagation
from training.examiner import Examiner
from training.garbage import collected_on_request
from training.loader import Batch, Loader
from training.micro_batches import micro_batches
from training.optimizers import Optimizer
from training.ports import Reporter, StopSignal
from training.prefetch import Prefetch
from training.ranks import Ranks
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
        saver: BackgroundSaver,
        rollback: Rollback,
        reporter: Reporter,
        stop: StopSignal,
        stopwatch: Stopwatch,
        telemetry: Telemetry,
        ranks: Ranks,
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
            saver: Writes checkpoints of model, optimizer and a given state.
            rollback: Knows the checkpoint to go back to when the loss has left for good.
            reporter: Hears what happens.
            stop: Asks to stop.
            stopwatch: The time spent on the job so far.
            telemetry: Says what a step has cost.
            ranks: Who trains the same model beside this process. Whatever they must do alike is
                done alike on all of them; rank 0 alone asks the stop signal, the stopwatch and the
                examiner, and saves.
        """
        self.state = state
        self._spec = spec
        self._model = model
        self._backpropagation = backpropagation
        self._optimizer = optimizer
        self._loader = loader
        self._examiner = examiner
        self._saver = saver
        self._rollback = rollback
        self._reporter = reporter
        self._stop = stop
        self._stopwatch = stopwatch
        self._telemetry = telemetry
        self._ranks = ranks
        self._num_steps = loader.num_steps
        self._parameters = list(model.parameters())
        self._batches = Prefetch(loader)
        self._has_news = False  # since the last checkpoint
        self._stall_seconds: float | None = None  # of a save that no step has told of yet

    def run(self) -> StopReason | None:
        """Train on.

        Returns:
            None once the budget is spent and the last checkpoint saved; otherwise why it stopped:
            EARLY_STOPPING with everything that a spent budget leaves, PAUSE and DRAIN after saving
            a checkpoint, CANCEL at once: a checkpoint that was begun is told of, none is begun.

        Raises:
            Diverged: the loss left for good, and going back to earlier weights did not help.
            OSError: a checkpoint could not be written.
            RankLost: another rank has ended.
        """
        self._reporter.phase("training")
        with self._saver, self._batches, collected_on_request():
            try:
                reason = self._train()
            except Exception:
                self._keep_what_was_begun()
                raise
            if reason is StopReason.CANCEL:
                self._keep_what_was_begun()
            return reason

    def _train(self) -> StopReason | None:
        """Step by step, with what is due between steps, until there is a reason to leave."""
        while True:
            reason = self._ranks.of_first(self._stop.requested)
            if reason is StopReason.CANCEL:
                return reason
            if reason is not None:
                return self._leave(reason)
            finished = self._budget_is_spent()
            if self._evaluation_is_due(finished=finished):
                self._look_at_held_out_text(finished=finished)
            if finished:
                return self._leave(None)
            if self._has_stopped_learning():
                return self._leave(StopReason.EARLY_STOPPING)
            if self._checkpoint_is_due():
                self._begin_to_save()
            self._train_one_step()
            self._tell_what_is_saved()
            if self.state.guard.has_lost_its_way:
                self._go_back()

    def _leave(self, reason: StopReason | None) -> StopReason | None:
        """Save what is new, and see all of it written."""
        self._begin_to_save(will_go_on=reason in (StopReason.PAUSE, StopReason.DRAIN))
        self._tell_what_is_saved(wait=True)
        return reason

    def _keep_what_was_begun(self) -> None:
        """See the checkpoint that is being written to its end; no error of it is news any more."""
        with suppress(Exception):
            self._tell_what_is_saved(wait=True)

    def _train_one_step(self) -> None:
        """Fetch, forward and backward, judge, clip, update, report."""
        started = perf_counter()
        step = self.state.step
        if step == 0:
            self.state = replace(self.state, began_seconds=self._elapsed_seconds())
        batch = self._batches.batch(step)
        data_seconds = perf_counter() - started
        loss_sum, gradients = self._backpropagate(batch)
        norm = torch.nn.utils.get_total_norm(gradients)
        loss, gradient_norm = loss_sum.item(), norm.item()
        is_ordinary = self.state.guard.is_ordinary(loss=loss, gradient_norm=gradient_norm)
        rate_factor = self._rate_factor(step) if is_ordinary else 0.0
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
                num_flops=batch.num_tokens * self._flops_per_token(step),
                seconds=perf_counter() - started,
                data_seconds=data_seconds,
            ),
        )

    def _backpropagate(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """The loss of a step and its gradients: of micro-batches and of ranks, added up."""
        parts = micro_batches(
            batch,
            size=self.state.execution.micro_batch,
            num_labels=self._ranks.total(batch.num_labels),
            device=self._model.device,
        )
        loss_sum = self._backpropagation.run(parts)
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        self._ranks.add_up([*gradients, loss_sum])
        return loss_sum, gradients

    def _flops_per_token(self, step: int) -> int:
        """The arithmetic of a step, which says nothing about tokens that were not removed."""
        return flops_per_token(self._spec.model, objective=self._loader.objective(step))

    def _rate_factor(self, step: int) -> float:
        """What a step takes of the peak learning rate."""
        progress = self._progress_within(step)
        of_schedule = learning_rate_factor(self._spec.schedule, progress=progress)
        return self.state.guard.rate_factor * of_schedule

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
                "optimizer/learning_rate": learning_rate,
                "optimizer/gradient_norm": gradient_norm,
                **costs,
            }
        )
        self.state = replace(
            self.state,
            step=step,
            tokens=self.state.tokens + num_tokens,
            metrics={**self.state.metrics, **_finite({"train/loss": loss})},
            guard=guard,
        )
        self._has_news = True
        if self._stall_seconds is not None:
            values["throughput/save_stall_seconds"] = self._stall_seconds
            self._stall_seconds = None
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
        self._tell_what_is_saved(wait=True)
        self._rollback.to = self._ranks.of_first(lambda: self._rollback.to)
        earlier = self._rollback.earlier() or TrainingState(self.state.execution)
        is_same_objective = not any(
            map(self._loader.begins_stage, range(earlier.step + 1, self.state.step + 1))
        )
        guard = self.state.guard.rolled_back(
            best_loss=earlier.guard.best_loss if is_same_objective else None
        )
        self._rollback.go_back()
        self._ranks.meet()  # the next save lets go of what a slower rank may still be reading
        self.state = replace(
            self.state,
            guard=guard,
            patience=earlier.patience,
            evaluated_step=earlier.evaluated_step,
            metrics=earlier.metrics,
            answers=earlier.answers,
        )
        self._reporter.notice(
            code="rolled_back",
            message=f"After step {self.state.step} the loss had left for good. The weights went "
            f"back to those of step {earlier.step}, and the learning rate is {guard.rate_factor:g} "
            "times what it would be. The text in between is not read again.",
            data={"step": self.state.step, "returned_to": earlier.step},
        )

    def _budget_is_spent(self) -> bool:
        """Whether there is no step left; any budget is good for one."""
        return self.state.step > 0 and self._progress(self.state.step) >= 1

    def _progress_within(self, step: int) -> float:
        """How much of the budget is spent in the middle of a step."""
        progress = self._progress(step + 0.5)
        # a budget that does not even last for the first step should not buy one at the rate zero
        return min(progress, 0.5) if step == 0 else progress

    def _progress(self, step: float) -> float:
        """How much of the budget is spent at this step."""
        return budget_progress(
            step=step,
            num_steps=self._num_steps,
            elapsed_seconds=self._elapsed_seconds(),
            seconds=self._spec.budget.seconds,
            began_seconds=self.state.began_seconds,
        )

    def _elapsed_seconds(self) -> float:
        """Spent on the job so far, by one clock for all ranks; 0 where a budget counts none."""
        if self._spec.budget.seconds is None:
            return 0.0
        return self._ranks.of_first(self._stopwatch.seconds)

    def _evaluation_is_due(self, *, finished: bool) -> bool:
        step = self.state.step
        due = finished or step % self._spec.evaluation.every_steps == 0
        return due and self.state.evaluated_step != step

    def _look_at_held_out_text(self, *, finished: bool) -> None:
        """Measure and ask the model; at the end, find out what it knows by heart as well."""
        self._reporter.phase("evaluating")
        gc.collect()
        measured = self._ranks.of_first(self._examiner.evaluate, self._model, step=self.state.step)
        self._judge_held_out_text(measured)
        if finished or self._has_stopped_learning():
            self.state.guard.require_a_result(measured)
            measured |= self._ranks.of_first(self._examiner.memorized, self._model)
        measured |= self._loader.epochs(self.state.step)
        answers = self._ranks.of_first(self._examiner.probe, self._model)
        values = _finite(measured)
        earlier = {name: v for name, v in self.state.metrics.items() if name not in measured}
        self.state = replace(
            self.state,
            evaluated_step=self.state.step,
            metrics={**earlier, **values},
            answers=answers,
        )
        self._has_news = True
        self._report(values)
        self._reporter.probed(
            step=self.state.step,
            continuations=answers.continuations,
            fillings=answers.fillings,
        )
        self._reporter.phase("training")

    def _judge_held_out_text(self, measured: Mapping[str, float]) -> None:
        """Remember how it went."""
        stopping = self._spec.evaluation.early_stopping
        patience = self.state.patience
        if stopping is not None and self._loader.is_in_last_stage(self.state.step):
            patience = patience.after(measured, shape=self._spec.model, spec=stopping)
        guard = self.state.guard.after_looking(measured)
        self.state = replace(self.state, guard=guard, patience=patience)

    def _has_stopped_learning(self) -> bool:
        return self.state.patience.is_exhausted(self._spec.evaluation.early_stopping)

    def _checkpoint_is_due(self) -> bool:
        return self.state.step > 0 and is_firm(self.state, self._spec.checkpoints)

    def _begin_to_save(self, *, will_go_on: bool = False) -> None:
        """Have a checkpoint written from now on, unless the last one says it all.

        Rank 0 does: the others have the same weights.

        Args:
            will_go_on: Another attempt will, with nothing but this checkpoint.
        """
        if not self._has_news or self.state.step == 0 or self._ranks.rank > 0:
            return
        started = perf_counter()
        self._reporter.phase("saving")
        self._tell_what_is_saved(wait=True)
        self.state = replace(self.state, elapsed_seconds=self._stopwatch.seconds())
        firm = self._checkpoint_is_due()
        if firm:
            self.state = replace(self.state, firm_step=self.state.step)
        beside = self._rollback.files() if will_go_on and not firm else {}
        self._saver.begin(self.state, beside=beside)
        self._has_news = False
        self._stall_seconds = perf_counter() - started
        self._reporter.phase("training")

    def _tell_what_is_saved(self, *, wait: bool = False) -> None:
        """Report the checkpoint that has become whole, if one has."""
        saved = self._saver.finished(wait=wait)
        if saved is not None:
            self._rollback.to = saved.path
            self._reporter.checkpoint_saved(saved)

    def _report(self, values: Mapping[str, float]) -> None:
        self._reporter.metrics(step=self.state.step, tokens=self.state.tokens, values=values)


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that can be drawn, stored and compared."""
    return {name: value for name, value in values.items() if math.isfinite(value)}
