"""From a spec and a dataset to a running training loop: all wiring, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from core.lifecycle import StopReason
from core.sizing import flops_per_token, num_parameters
from core.spec import JobSpec
from training.background_saver import BackgroundSaver
from training.backpropagation import Backpropagation
from training.beginning import from_checkpoint, from_step_0
from training.data import Verification, open_data, vocabulary_for
from training.dry_run import rehearse
from training.examiner import Examiner
from training.execution import Execution
from training.loader import Loader
from training.loop import TrainingLoop
from training.memory import require_memory
from training.ports import Plan, Reporter, StopSignal
from training.ranks import ALONE, Ranks
from training.saving import Saver, starting_state
from training.state import TrainingState
from training.telemetry import Stopwatch, Telemetry


def train(
    spec: JobSpec,
    *,
    datasets: Sequence[Path],
    out: Path,
    resume: Path | None,
    initial: Path | None = None,
    execution: Execution | None = None,
    fence: int,
    reporter: Reporter,
    stop: StopSignal,
    provenance: Mapping[str, Any],
    ranks: Ranks = ALONE,
) -> StopReason | None:
    """Train a model, or go on with it.

    Args:
        spec: What is asked for.
        datasets: The directories of the encoded corpora, in the order of the spec.
        out: Where checkpoints go; none is ever deleted.
        resume: The checkpoint to go on from, of the same spec; None: start at step 0.
        initial: The folder of the checkpoint that ``spec.start`` names; not read with ``resume``.
        execution: How the job is to run, as its earlier attempts have settled it; comes before
            what ``resume`` says. A machine of another kind decides anew.
        fence: The number of the attempt, part of the checkpoints' names.
        reporter: Hears what happens; on a rank other than 0 it hears as much, and should be silent.
        stop: Asks to stop; looked at once a step, on rank 0.
        provenance: Where the data came from, for the model card.
        ranks: The processes that train this model together; each calls this function, with the
            same arguments otherwise.

    Returns:
        None when the budget is spent; otherwise why it stopped. PAUSE and DRAIN have saved a
        checkpoint, CANCEL has not; EARLY_STOPPING has left all that a spent budget leaves.

    Raises:
        BadData: a dataset is damaged, or it or ``initial`` does not fit the spec.
        CheckpointDamaged: ``resume`` or ``initial`` is not whole.
        Conflict: ``resume`` belongs to another spec or dataset.
        InvalidRequest: this machine cannot do what the spec asks for.
        Diverged: the loss left for good, and earlier weights did not help.
        OSError: a checkpoint could not be written.
        RankLost: another rank has ended.
    """
    preparation = Stopwatch()
    reporter.phase("preparing" if resume is None else "recovering")
    data = open_data(spec, datasets)
    verification = Verification(data) if ranks.rank == 0 else nullcontext()
    tokenizer = Tokenizer.from_str(data.tokenizer_json.decode())
    vocabulary = vocabulary_for(spec, tokenizer)
    loader = Loader(
        data.sources(spec),
        objective=spec.objective,
        vocabulary=vocabulary,
        context_length=spec.model.context_length,
        sequences_per_step=spec.sequences_per_step,
        seed=spec.seed,
        budget=spec.budget,
        rank=ranks.rank,
        num_ranks=ranks.size,
    )
    state = starting_state(
        spec,
        num_steps=loader.num_steps,
        num_ranks=ranks.size,
        resume=resume,
        settled=execution,
        reporter=reporter,
    )
    execution = state.execution
    require_memory(spec, execution=execution)
    execution.prepare()
    # torch's own is seeded by chance; checkpoints hold it, and those of equal jobs shall be equal
    torch.manual_seed(spec.seed)
    if resume is None:
        model, optimizer, rollback = from_step_0(spec, initial, data=data, execution=execution)
    else:
        model, optimizer, rollback = from_checkpoint(
            resume, state, spec=spec, initial=initial, data=data
        )
    with verification:
        backpropagation, execution = _rehearse_alike(
            ranks,
            partial(
                rehearse,
                model,
                optimizer=optimizer,
                batches=[loader.batch(step) for step in loader.first_steps(state.step)],
                reporter=reporter,
            ),
            execution=execution,
        )
    state = replace(state, execution=execution)
    reporter.planned(_plan(spec, loader=loader, state=state))
    if loader.num_windows < spec.sequences_per_step:
        reporter.notice(
            code="corpus_smaller_than_a_step",
            message=f"The text to train on fills {loader.num_windows} of the "
            f"{spec.sequences_per_step} sequences of a step: every step reads all of it more than "
            "once. The model will know it by heart.",
            data={"windows": loader.num_windows, "sequences": spec.sequences_per_step},
        )
    examiner = Examiner(
        spec=spec,
        data=data,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        execution=execution,
        reporter=reporter,
    )
    saver = Saver(
        spec=spec,
        data=data,
        out=out,
        fence=fence,
        loader=loader,
        model=model,
        optimizer=optimizer,
        provenance=provenance,
    )
    loop = TrainingLoop(
        spec,
        model=model,
        backpropagation=backpropagation,
        optimizer=optimizer,
        loader=loader,
        state=state,
        examiner=examiner,
        saver=BackgroundSaver(saver),
        rollback=rollback,
        reporter=reporter,
        stop=stop,
        stopwatch=Stopwatch(already_seconds=state.elapsed_seconds + preparation.seconds()),
        telemetry=Telemetry.of_execution(execution),
        ranks=ranks,
    )
    return loop.run()


def _rehearse_alike(
    ranks: Ranks,
    rehearse_with: Callable[..., tuple[Backpropagation, Execution]],
    *,
    execution: Execution,
) -> tuple[Backpropagation, Execution]:
    """Rehearse until all ranks settle for the same: what the least able of them can do."""
    while True:
        backpropagation, settled = rehearse_with(execution=execution)
        by_rank = ranks.of_all(settled)
        if all(other == settled for other in by_rank):
            return backpropagation, settled
        least = next((other for other in by_rank if not other.compiled), settled)
        execution = replace(least, micro_batch=min(other.micro_batch for other in by_rank))


def _plan(spec: JobSpec, *, loader: Loader, state: TrainingState) -> Plan:
    return Plan(
        num_steps=loader.num_steps,
        num_parameters=num_parameters(spec.model),
        tokens_per_step=spec.batch_tokens,
        flops_per_token=flops_per_token(spec.model, objective=spec.objective),
        execution=state.execution.to_json(),
    )
