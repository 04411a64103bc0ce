"""The engine from end to end, on real text and tiny models."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from tokenizers import Tokenizer

from core.errors import BadData, CheckpointDamaged, Conflict, Diverged
from core.lifecycle import StopReason
from core.objectives import (
    CausalObjective,
    FillInTheMiddleObjective,
    MaskedObjective,
    MixedPart,
    MixObjective,
    Objective,
    SpanCorruptionObjective,
    Stage,
    StagedObjective,
)
from core.sizing import flops_per_token
from core.spec import Budget, CheckpointSpec, EvaluationSpec, JobSpec, OptimizerSpec, ScheduleSpec
from corpora.dataset_writer import DatasetWriter
from models.huggingface import load_model
from tests.unit.training.conftest import (
    ARCHITECTURES,
    MIXTURE,
    NUM_STEPS,
    SILENT,
    Architecture,
    Recorder,
    StopAfter,
    edit_checkpoint,
    make_spec,
    run,
    weights,
)
from training.checkpoint import verify_checkpoint
from training.execution import decide_execution
from training.ports import Phase
from training.telemetry import Telemetry

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_job_interrupted_at_every_few_steps_ends_with_the_same_bits(
    spec: JobSpec, optimizer: str, dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec(
        spec.model.architecture,
        optimizer=OptimizerSpec(name=optimizer, learning_rate=0.02),  # type: ignore[arg-type]
    )
    undisturbed = Recorder()
    assert run(spec, dataset, tmp_path / "a", reporter=undisturbed) is None

    pieces = Recorder()
    resume = None
    for fence in range(1, NUM_STEPS):
        stop = StopAfter(4)
        reason = run(
            spec, dataset, tmp_path / "b", resume=resume, fence=fence, stop=stop, reporter=pieces
        )
        resume = pieces.saved[-1].path
        if reason is None:
            break
    assert fence > 2
    assert resume is not None
    assert weights(resume) == weights(undisturbed.saved[-1].path)
    assert pieces.deterministic() == undisturbed.deterministic()
    assert pieces.probes == undisturbed.probes


OBJECTIVES: dict[str, Objective] = {
    "span_corruption": SpanCorruptionObjective(),
    "fill_in_the_middle": FillInTheMiddleObjective(),
    "mix in stages": StagedObjective(
        stages=(
            Stage(until=0.4, objective=CausalObjective()),
            Stage(until=0.7, objective=SpanCorruptionObjective()),
            Stage(
                objective=MixObjective(
                    parts=(
                        MixedPart(objective=SpanCorruptionObjective()),
                        MixedPart(objective=FillInTheMiddleObjective(document_mask=True)),
                    )
                )
            ),
        )
    ),
}


CAUSAL_THEN_MASKED = StagedObjective(
    stages=(Stage(until=0.5, objective=CausalObjective()), Stage(objective=MaskedObjective()))
)
BORDER = NUM_STEPS // 2


@pytest.mark.parametrize("steps", [BORDER - 1, BORDER])
def test_an_encoder_that_begins_causally_resumes_at_the_border_with_the_same_bits(
    steps: int, dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec("encoder", objective=CAUSAL_THEN_MASKED)
    undisturbed, first, second = Recorder(), Recorder(), Recorder()
    run(spec, dataset, tmp_path / "a", reporter=undisturbed)
    run(spec, dataset, tmp_path / "b", stop=StopAfter(steps), reporter=first)
    resume = first.saved[-1].path
    assert verify_checkpoint(resume).step == steps
    run(spec, dataset, tmp_path / "b", resume=resume, fence=2, reporter=second)
    assert weights(second.saved[-1].path) == weights(undisturbed.saved[-1].path)
    assert first.deterministic() | second.deterministic() == undisturbed.deterministic()
    # the masks of 15 % are those of every encoder, from the first look on
    assert (0, "validation/masked_accuracy_top1") in undisturbed.values
    cards = {saved.step: (saved.path / "README.md").read_text() for saved in undisturbed.saved}
    assert [step for step, card in cards.items() if "unfinished" in card] == [5]


def test_each_stage_costs_its_own_arithmetic(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    of_step = Telemetry.of_step

    def noting(telemetry: Telemetry, **given: Any) -> dict[str, float]:
        told.append(given["num_flops"] / given["num_tokens"])
        return of_step(telemetry, **given)

    monkeypatch.setattr(Telemetry, "of_step", noting)
    spec = make_spec("encoder", objective=CAUSAL_THEN_MASKED)
    run(spec, dataset, tmp_path, reporter=Recorder())
    every_token = flops_per_token(spec.model, objective=CausalObjective())
    removed_ones = flops_per_token(spec.model, objective=MaskedObjective())
    assert removed_ones < every_token
    assert told == [every_token] * BORDER + [removed_ones] * (NUM_STEPS - BORDER)


OPTIMIZERS = {
    "muon": OptimizerSpec(name="muon", learning_rate=0.02, cautious_decay=True),
    "adamw": OptimizerSpec(name="adamw", learning_rate=0.02),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_resumes_with_the_same_bits_under_every_optimizer(
    name: str, optimizer: str, dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec(
        "decoder",
        objective=OBJECTIVES[name],
        optimizer=OPTIMIZERS[optimizer],
        evaluation=SILENT,
    )
    in_parts = replace(decide_execution(spec), micro_batch=2)  # gradients are accumulated
    undisturbed, first, second = Recorder(), Recorder(), Recorder()
    run(spec, dataset, tmp_path / "a", execution=in_parts, reporter=undisturbed)
    assert undisturbed.plans[0].execution["micro_batch"] == 2
    run(spec, dataset, tmp_path / "b", execution=in_parts, stop=StopAfter(7), reporter=first)
    resume = first.saved[-1].path
    run(spec, dataset, tmp_path / "b", resume=resume, fence=2, reporter=second)
    assert weights(second.saved[-1].path) == weights(undisturbed.saved[-1].path)
    assert first.deterministic() | second.deterministic() == undisturbed.deterministic()
    # held-out text is always read from left to right, so that jobs can be compared
    assert (NUM_STEPS, "validation/bits_per_byte") in undisturbed.values


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_mixture_of_corpora_resumes_with_the_same_bits_and_is_measured_by_corpus(
    architecture: Architecture, dataset: Path, other_dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec(architecture, corpus=MIXTURE)
    both = [dataset, other_dataset]
    undisturbed, first, second = Recorder(), Recorder(), Recorder()
    run(spec, both, tmp_path / "a", reporter=undisturbed)
    run(spec, both, tmp_path / "b", stop=StopAfter(7), reporter=first)
    resume = first.saved[-1].path
    run(spec, both, tmp_path / "b", resume=resume, fence=2, reporter=second)
    assert weights(second.saved[-1].path) == weights(undisturbed.saved[-1].path)
    assert first.deterministic() | second.deterministic() == undisturbed.deterministic()

    last = {name: v for (step, name), v in undisturbed.values.items() if step == NUM_STEPS}
    name = "bits_per_byte" if architecture == "decoder" else "masked_accuracy_top1"
    parts = [last[f"validation/{name}/{corpus}"] for corpus in ("corpus", "other")]
    assert parts[0] != parts[1]
    assert last[f"validation/{name}"] == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])
    assert 0 < last["data/epochs/corpus"] < last["data/epochs/other"]


def test_datasets_that_are_not_those_of_the_mixture_are_refused(
    dataset: Path, other_dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec("decoder", corpus=MIXTURE)
    with pytest.raises(BadData, match="2 corpora, and 1 datasets"):
        run(spec, dataset, tmp_path)
    with pytest.raises(BadData, match="corpus has another text"):
        run(spec, [other_dataset, dataset], tmp_path)


def test_datasets_by_different_tokenizers_are_refused(dataset: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(dataset / "tokenizer.json"))
    tokenizer.add_tokens(["unheard-of"])
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    writer = DatasetWriter(
        foreign, corpus_digest="11" * 32, tokenizer_json=tokenizer.to_str().encode()
    )
    writer.add("train", tokenizer.encode("one two").ids, 7)
    writer.close()
    spec = make_spec("decoder", corpus=MIXTURE)
    with pytest.raises(BadData, match="different tokenizers"):
        run(spec, [dataset, foreign], tmp_path / "out")


def test_a_job_killed_between_checkpoints_ends_with_the_same_bits(
    spec: JobSpec, dataset: Path, tmp_path: Path
) -> None:
    undisturbed = Recorder()
    run(spec, dataset, tmp_path / "a", reporter=undisturbed)
    killed = Recorder()
    cancel = StopAfter(8, StopReason.CANCEL)
    assert run(spec, dataset, tmp_path / "b", stop=cancel, reporter=killed) is StopReason.CANCEL
    assert [saved.step for saved in killed.saved] == [5]
    resumed = Recorder()
    run(spec, dataset, tmp_path / "b", resume=killed.saved[0].path, fence=2, reporter=resumed)
    assert weights(resumed.saved[-1].path) == weights(undisturbed.saved[-1].path)


def test_what_was_promised_is_reported_at_the_right_steps(
    spec: JobSpec, dataset: Path, tmp_path: Path
) -> None:
    heard = Recorder()
    run(spec, dataset, tmp_path, reporter=heard)
    steps_of = {
        name: sorted(step for step, other in heard.values if other == name)
        for name in {name for _, name in heard.values}
    }
    assert steps_of["train/loss"] == list(range(1, NUM_STEPS + 1))
    assert steps_of["optimizer/learning_rate"] == steps_of["train/loss"]
    assert steps_of["optimizer/gradient_norm"] == steps_of["train/loss"]
    assert steps_of["throughput/tokens_per_second"] == steps_of["train/loss"]
    assert steps_of["throughput/flops_utilization"] == steps_of["train/loss"]
    assert steps_of["throughput/data_stall_seconds"] == steps_of["train/loss"]
    assert steps_of["system/memory_bytes"] == [1]  # and again every ten seconds
    assert steps_of["validation/loss"] == [0, 5, 10, NUM_STEPS]
    assert sorted(heard.probes) == [0, 5, 10, NUM_STEPS]
    continuations, fillings = heard.probes[NUM_STEPS]
    is_decoder = spec.model.architecture == "decoder"
    assert (len(continuations), len(fillings)) == ((1, 0) if is_decoder else (0, 1))
    assert [saved.step for saved in heard.saved] == [5, 10, NUM_STEPS]
    assert heard.plans[0].num_steps == NUM_STEPS


def test_the_last_checkpoint_is_a_model_with_its_card(
    spec: JobSpec, dataset: Path, tmp_path: Path
) -> None:
    heard = Recorder()
    run(spec, dataset, tmp_path, reporter=heard)
    last = heard.saved[-1]
    manifest = verify_checkpoint(last.path)
    assert (manifest.step, manifest.tokens) == (NUM_STEPS, NUM_STEPS * 512)
    assert manifest.metrics["validation/loss"] == heard.values[NUM_STEPS, "validation/loss"]
    assert {file.name for file in manifest.files} == {
        "README.md", "config.json", "generation_config.json", "model.safetensors",
        "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
        "training_state/optimizer.safetensors", "training_state/state.json",
    }  # fmt: skip
    card = (last.path / "README.md").read_text()
    assert "base model" in card
    assert "topics.py" in card
    assert f"{NUM_STEPS * 512:,} tokens" in card
    stored = load_file(last.path / "model.safetensors")
    assert all(
        torch.equal(stored[name], t) for name, t in load_model(last.path).state_dict().items()
    )
    assert sum(t.numel() for t in stored.values()) == heard.plans[0].num_parameters


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_learns_from_real_text(
    architecture: Architecture, dataset: Path, tmp_path: Path
) -> None:
    heard = Recorder()
    num_steps = 120 if architecture == "decoder" else 400
    spec = make_spec(architecture, budget=Budget(steps=num_steps))
    run(spec, dataset, tmp_path, reporter=heard)
    first, last = (heard.values[step, "validation/loss"] for step in (0, num_steps))
    assert first == pytest.approx(math.log(512), abs=0.3)
    assert last < first - (1.5 if architecture == "decoder" else 0.7)
    if architecture == "encoder":
        top5 = heard.values[num_steps, "validation/masked_accuracy_top5"]
        assert top5 > 1.2 * heard.values[num_steps, "validation/unigram_accuracy_top5"]
    else:
        bits = [heard.values[step, "validation/bits_per_byte"] for step in (0, num_steps)]
        assert bits[1] < 0.8 * bits[0]


def test_a_long_examination_is_heard_all_along(
    spec: JobSpec, dataset: Path, tmp_path: Path
) -> None:
    heard = Recorder()
    run(spec, dataset, tmp_path, stop=StopAfter(1), reporter=heard)
    first_step = heard.phases.index("training", heard.phases.index("evaluating"))
    assert heard.phases[:first_step].count("evaluating") > 3  # of the look before the first step


def test_pause_saves_and_cancel_does_not(spec: JobSpec, dataset: Path, tmp_path: Path) -> None:
    for reason, steps in ((StopReason.PAUSE, [3]), (StopReason.CANCEL, [])):
        heard = Recorder()
        out = tmp_path / reason
        assert run(spec, dataset, out, stop=StopAfter(3, reason), reporter=heard) is reason
        assert [saved.step for saved in heard.saved] == steps


def test_a_stop_before_the_first_step_has_nothing_to_save(
    spec: JobSpec, dataset: Path, tmp_path: Path
) -> None:
    assert run(spec, dataset, tmp_path, stop=StopAfter(0)) is StopReason.DRAIN
    assert list(tmp_path.iterdir()) == []


def test_a_budget_in_seconds_ends_and_counts_what_earlier_attempts_took(
    dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec("decoder", budget=Budget(seconds=1e6))
    heard = Recorder()
    run(spec, dataset, tmp_path, stop=StopAfter(2), reporter=heard)
    assert heard.plans[0].num_steps is None
    state_file = heard.saved[0].path / "training_state" / "state.json"
    state = json.loads(state_file.read_text())
    assert state["training"]["elapsed_seconds"] > 0

    state["training"]["elapsed_seconds"] = 2e6
    edit_checkpoint(heard.saved[0].path, "training_state/state.json", json.dumps(state).encode())
    resumed = Recorder()
    assert (
        run(spec, dataset, tmp_path, resume=heard.saved[0].path, fence=2, reporter=resumed) is None
    )
    assert (2, "validation/loss") in resumed.values
    assert (3, "train/loss") not in resumed.values


@pytest.mark.parametrize("budget", [Budget(seconds=1e-9), Budget(tokens=1)])
def test_a_budget_smaller_than_a_step_buys_one(
    budget: Budget, dataset: Path, tmp_path: Path
) -> None:
    heard = Recorder()
    assert run(make_spec("decoder", budget=budget), dataset, tmp_path, reporter=heard) is None
    assert heard.saved[-1].step == 1
    assert heard.values[1, "optimizer/learning_rate"] > 0
    assert (1, "validation/loss") in heard.values


@pytest.mark.parametrize("text", ["a", "The import statement."])
def test_a_corpus_smaller_than_a_window_is_trained_on_and_said_to_be_small(
    spec: JobSpec, text: str, dataset: Path, tmp_path: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(dataset / "tokenizer.json"))
    tiny, heard = tmp_path / "tiny", Recorder()
    tiny.mkdir()
    writer = DatasetWriter(
        tiny, corpus_digest="00" * 32, tokenizer_json=tokenizer.to_str().encode()
    )
    writer.add("train", tokenizer.encode(text).ids, len(text))
    writer.close()
    assert run(spec, tiny, tmp_path / "out", reporter=heard) is None
    assert heard.notices == ["corpus_smaller_than_a_step"]
    assert heard.saved[-1].step == NUM_STEPS
    assert heard.values[NUM_STEPS, "train/loss"] < heard.values[1, "train/loss"]


def test_a_schedule_in_seconds_warms_up_however_long_the_first_look_took(
    dataset: Path, tmp_path: Path
) -> None:
    heard = Recorder()
    spec = make_spec(
        "decoder", budget=Budget(seconds=1e6), schedule=ScheduleSpec(warmup=0.5, decay=0.5)
    )
    run(spec, dataset, tmp_path, stop=StopAfter(1), reporter=heard)
    state_file = heard.saved[0].path / "training_state" / "state.json"
    state = json.loads(state_file.read_text())
    began = state["training"]["began_seconds"]
    assert 0 < began < state["training"]["elapsed_seconds"]
    assert heard.values[1, "optimizer/learning_rate"] < 0.02 * 2e-6 * (
        state["training"]["elapsed_seconds"] - began
    )


class Clocked(Recorder):
    """Also remembers when it first heard of the job, and when of the first look at its model."""

    def __init__(self) -> None:
        super().__init__()
        self.heard_at: dict[str, float] = {}

    def phase(self, phase: Phase) -> None:
        super().phase(phase)
        self.heard_at.setdefault(phase, time.monotonic())

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        super().metrics(step=step, tokens=tokens, values=values)
        self.heard_at.setdefault("metrics", time.monotonic())


def test_a_budget_in_seconds_counts_what_was_needed_before_the_first_step(
    dataset: Path, tmp_path: Path
) -> None:
    heard = Clocked()
    spec = make_spec("decoder", budget=Budget(seconds=1e6))
    run(spec, dataset, tmp_path, stop=StopAfter(1), reporter=heard)
    state_file = heard.saved[0].path / "training_state" / "state.json"
    began = json.loads(state_file.read_text())["training"]["began_seconds"]
    assert began >= heard.heard_at["metrics"] - heard.heard_at["preparing"]


def test_a_checkpoint_depends_on_no_state_of_the_process(dataset: Path, tmp_path: Path) -> None:
    digests = []
    for seed in (1, 2):
        heard = Recorder()
        torch.manual_seed(seed)
        run(make_spec("decoder"), dataset, tmp_path / str(seed), stop=StopAfter(2), reporter=heard)
        digests.append(weights(heard.saved[0].path))
    assert digests[0] == digests[1]


def test_weights_that_are_no_numbers_are_never_handed_out_as_a_result(
    spec: JobSpec, dataset: Path, tmp_path: Path
) -> None:
    heard = Recorder()
    run(spec, dataset, tmp_path, stop=StopAfter(5), reporter=heard)
    path = heard.saved[0].path
    tensors = load_file(path / "model.safetensors")
    next(iter(tensors.values()))[:] = math.nan
    edit_checkpoint(path, "model.safetensors", save(tensors))
    resumed = Recorder()
    with pytest.raises(Diverged, match="not finite"):
        run(spec, dataset, tmp_path, resume=path, fence=2, reporter=resumed)
    assert resumed.saved == []
    assert all(map(math.isfinite, resumed.values.values()))


def test_a_damaged_checkpoint_is_not_resumed(spec: JobSpec, dataset: Path, tmp_path: Path) -> None:
    heard = Recorder()
    run(spec, dataset, tmp_path, stop=StopAfter(2), reporter=heard)
    with (heard.saved[0].path / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    with pytest.raises(CheckpointDamaged, match=r"model\.safetensors"):
        run(spec, dataset, tmp_path, resume=heard.saved[0].path, fence=2)


def test_a_checkpoint_of_another_spec_is_refused(dataset: Path, tmp_path: Path) -> None:
    heard = Recorder()
    run(make_spec("decoder"), dataset, tmp_path, stop=StopAfter(2), reporter=heard)
    with pytest.raises(Conflict, match="another spec"):
        run(make_spec("decoder", seed=2), dataset, tmp_path, resume=heard.saved[0].path, fence=2)


def test_a_dataset_of_another_vocabulary_is_refused(dataset: Path, tmp_path: Path) -> None:
    shape = make_spec("decoder").model.model_copy(update={"vocab_size": 576})
    with pytest.raises(BadData, match="512 tokens"):
        run(make_spec("decoder", model=shape), dataset, tmp_path)


def test_how_the_batch_is_cut_does_not_change_the_training(dataset: Path, tmp_path: Path) -> None:
    losses = []
    for micro_batch in (8, 1):
        heard = Recorder()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("training.execution._CPU_MICRO_BATCH_TOKENS", 64 * micro_batch)
            run(make_spec("encoder"), dataset, tmp_path / str(micro_batch), reporter=heard)
        assert heard.plans[0].execution["micro_batch"] == micro_batch
        losses.append([heard.values[step, "train/loss"] for step in range(1, NUM_STEPS + 1)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_smaller_micro_batch_is_kept_from_the_first_step_and_after_a_resume(
    dataset: Path, tmp_path: Path
) -> None:
    spec = make_spec("decoder")
    small = replace(decide_execution(spec), micro_batch=2)
    undisturbed, first, second = Recorder(), Recorder(), Recorder()
    run(spec, dataset, tmp_path / "a", reporter=undisturbed)
    run(spec, dataset, tmp_path / "b", stop=StopAfter(3), reporter=first)
    resume = first.saved[-1].path
    run(spec, dataset, tmp_path / "b", resume=resume, execution=small, fence=2, reporter=second)
    assert second.plans[0].execution == small.to_json()
    assert second.plans[0].tokens_per_step == undisturbed.plans[0].tokens_per_step
    assert second.notices == []
    assert second.values[NUM_STEPS, "train/loss"] == pytest.approx(
        undisturbed.values[NUM_STEPS, "train/loss"], rel=1e-3
    )
    fresh = Recorder()
    run(spec, dataset, tmp_path / "c", execution=small, stop=StopAfter(1), reporter=fresh)
    assert fresh.plans[0].execution["micro_batch"] == 2


def test_a_checkpoint_tells_what_was_measured_of_its_own_weights_alone(
    dataset: Path, tmp_path: Path
) -> None:
    recorder = Recorder()
    spec = make_spec(
        "decoder",
        evaluation=EvaluationSpec(every_steps=4, max_tokens=512, prompts=("The import",)),
        checkpoints=CheckpointSpec(every_steps=3),
    )
    run(spec, dataset, tmp_path, reporter=recorder)
    told = {saved.step: "validation/bits_per_byte" in saved.metrics for saved in recorder.saved}
    assert told == {3: False, 6: False, 9: False, 12: True}
    cards = {saved.step: (saved.path / "README.md").read_text() for saved in recorder.saved}
    assert {step: "`validation/loss`" in card for step, card in cards.items()} == told
