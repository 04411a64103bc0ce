"""What happens to a job whose loss leaves."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from core.errors import Diverged
from core.spec import Budget, CheckpointSpec, JobSpec, OptimizerSpec, StartSpec
from models.architectures import new_model
from models.layers import Embedding
from tests.unit.training.conftest import SILENT, Recorder, StopAfter, make_spec, run, weights
from training.checkpoint import load_tensors, verify_checkpoint

pytestmark = pytest.mark.usefixtures("one_core")

NUM_STEPS = 24


class Watcher(Recorder):
    """Also remembers what each notice said, and how far the job is."""

    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self.told: list[tuple[str, Mapping[str, Any]]] = []

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        self.step = step
        super().metrics(step=step, tokens=tokens, values=values)

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        super().notice(code=code, message=message, data=data)
        self.told.append((code, data))


@contextmanager
def poisoned(watcher: Watcher, steps: range) -> Iterator[None]:
    """The model says nothing but NaN while it trains on these steps, whatever its weights are."""

    def poison(module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
        is_struck = (
            isinstance(module, Embedding) and torch.is_grad_enabled() and watcher.step + 1 in steps
        )
        return output * math.nan if is_struck else None

    handle = register_module_forward_hook(poison)  # type: ignore[arg-type]
    try:
        yield
    finally:
        handle.remove()


def spec_of(**changes: Any) -> JobSpec:
    fields = {"budget": Budget(steps=NUM_STEPS), "evaluation": SILENT, **changes}
    return make_spec("decoder", **fields)


def finite(watcher: Watcher) -> bool:
    return all(map(math.isfinite, watcher.values.values()))


def test_a_step_that_is_no_number_is_skipped_and_counted(dataset: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    with poisoned(watcher, range(7, 8)):
        run(spec_of(), dataset, tmp_path, reporter=watcher)
    assert watcher.told == [("step_skipped", {"step": 7, "loss": "nan", "gradient_norm": "nan"})]
    assert (7, "train/loss") not in watcher.values
    assert (8, "train/loss") in watcher.values
    assert watcher.saved[-1].tokens == NUM_STEPS * 512
    assert finite(watcher)


def test_a_skipped_step_leaves_weights_and_optimizer_as_they_were(
    dataset: Path, tmp_path: Path
) -> None:
    spec = spec_of(checkpoints=CheckpointSpec(every_steps=1))
    watcher = Watcher()
    with poisoned(watcher, range(3, 4)):
        run(spec, dataset, tmp_path, stop=StopAfter(3), reporter=watcher)
    assert [saved.step for saved in watcher.saved] == [1, 2, 3]
    assert weights(watcher.saved[1].path) == weights(watcher.saved[2].path)


def test_numbers_that_do_not_return_bring_the_last_checkpoint_back_with_half_the_rate(
    dataset: Path, tmp_path: Path
) -> None:
    watcher = Watcher()
    with poisoned(watcher, range(8, 16)):
        run(spec_of(), dataset, tmp_path, stop=StopAfter(15), reporter=watcher)
    assert watcher.told[-1] == ("rolled_back", {"step": 15, "returned_to": 5})
    # step 10 was asked for, but what the model was then is nothing to go back to
    assert [saved.step for saved in watcher.saved] == [5, 15]
    assert weights(watcher.saved[0].path) == weights(watcher.saved[1].path)
    # and nothing else is said of these weights than what was measured of them
    assert watcher.saved[1].metrics == {"train/loss": watcher.saved[0].metrics["train/loss"]}


def test_a_job_that_went_back_learns_on(dataset: Path, tmp_path: Path) -> None:
    watcher, undisturbed = Watcher(), Watcher()
    with poisoned(watcher, range(8, 16)):
        run(spec_of(), dataset, tmp_path / "a", reporter=watcher)
    run(spec_of(), dataset, tmp_path / "b", reporter=undisturbed)
    rates = [heard.values[20, "optimizer/learning_rate"] for heard in (watcher, undisturbed)]
    assert rates[0] == 0.5 * rates[1]
    losses = [watcher.values[step, "validation/loss"] for step in (15, NUM_STEPS)]
    assert losses[1] < losses[0]
    assert finite(watcher)


def test_a_job_without_a_checkpoint_goes_back_to_its_first_weights(
    dataset: Path, tmp_path: Path
) -> None:
    spec = spec_of(checkpoints=CheckpointSpec(every_steps=100))
    watcher = Watcher()
    with poisoned(watcher, range(3, 11)):
        run(spec, dataset, tmp_path, stop=StopAfter(10), reporter=watcher)
    assert watcher.told[-1] == ("rolled_back", {"step": 10, "returned_to": 0})
    there = load_tensors(watcher.saved[-1].path / "model.safetensors")
    first = new_model(spec.model, seed=spec.seed).state_dict()
    assert all(torch.equal(there[name], first[name]) for name in first)


def assert_interruptions_change_nothing(
    spec: JobSpec,
    dataset: Path,
    directory: Path,
    *,
    interrupted_after: Sequence[int],
    poison: range,
    initial: Path | None = None,
) -> None:
    """Every attempt is on a host that has the last one's last checkpoint, and nothing more."""
    undisturbed = Watcher()
    with poisoned(undisturbed, poison):
        run(spec, dataset, directory / "whole", initial=initial, reporter=undisturbed)
    heard: dict[tuple[int, str], float] = {}
    told: list[tuple[str, Mapping[str, Any]]] = []
    resume, last = None, undisturbed
    for fence, looks in enumerate((*interrupted_after, 10**6), start=1):
        watcher = Watcher()
        watcher.step = 0 if resume is None else verify_checkpoint(resume).step
        with poisoned(watcher, poison):
            run(
                spec, dataset, directory / str(fence), resume=resume, fence=fence, reporter=watcher,
                initial=initial if resume is None else None, stop=StopAfter(looks),
            )  # fmt: skip
        last = watcher
        resume = watcher.saved[-1].path.rename(directory / f"of-{fence}")
        shutil.rmtree(directory / str(fence))
        heard |= watcher.deterministic()
        told += watcher.told
    assert resume is not None
    assert weights(resume) == weights(undisturbed.saved[-1].path)
    assert last.saved[-1].metrics == undisturbed.saved[-1].metrics
    assert heard == undisturbed.deterministic()
    assert told == undisturbed.told


# before the trouble, in it, twice, and after it
@pytest.mark.parametrize("interrupted_after", [[7], [11], [6, 5], [17]])
def test_a_job_that_goes_back_ends_with_the_same_bits_wherever_it_was_interrupted(
    interrupted_after: list[int], dataset: Path, tmp_path: Path
) -> None:
    assert_interruptions_change_nothing(
        spec_of(), dataset, tmp_path, interrupted_after=interrupted_after, poison=range(8, 16)
    )


def test_a_job_that_was_given_its_first_weights_has_them_wherever_it_goes_on(
    dataset: Path, tmp_path: Path
) -> None:
    given = Watcher()
    run(make_spec("decoder", budget=Budget(steps=1)), dataset, tmp_path / "given", reporter=given)
    folder = given.saved[-1].path
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    spec = spec_of(
        start=StartSpec(checkpoint="ckpt_1", weights_sha256=sha256),
        checkpoints=CheckpointSpec(every_steps=100),
    )
    assert_interruptions_change_nothing(
        spec, dataset, tmp_path, interrupted_after=[4], poison=range(3, 11), initial=folder
    )


def test_only_a_checkpoint_that_others_go_on_from_holds_another(
    dataset: Path, tmp_path: Path
) -> None:
    watcher = Watcher()
    run(spec_of(), dataset, tmp_path, stop=StopAfter(7), reporter=watcher)
    scheduled, left = (saved.path for saved in watcher.saved)
    held = left / "training_state" / "go_back_to"
    assert verify_checkpoint(held) == verify_checkpoint(scheduled)
    assert not (scheduled / "training_state" / "go_back_to").exists()


def test_numbers_that_never_return_end_the_job(dataset: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    spec = make_spec("decoder", budget=Budget(steps=100))
    with poisoned(watcher, range(2, 1000)), pytest.raises(Diverged, match="learning_rate"):
        run(spec, dataset, tmp_path, reporter=watcher)
    assert watcher.notices.count("rolled_back") == 2
    assert watcher.saved == []


def test_an_absurd_learning_rate_ends_in_a_clear_error(dataset: Path, tmp_path: Path) -> None:
    watcher = Watcher()
    absurd = OptimizerSpec(name="adamw", learning_rate=10.0)
    spec = make_spec("encoder", budget=Budget(steps=1000), optimizer=absurd)
    with pytest.raises(Diverged, match=r"optimizer\.learning_rate"):
        run(spec, dataset, tmp_path, reporter=watcher)
    assert watcher.notices.count("rolled_back") == 2
    assert watcher.step < 400
