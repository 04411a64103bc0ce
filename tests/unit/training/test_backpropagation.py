"""Forward and backward passes: their gradients, in fp32 and in bf16 over fp32 masters."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.spec import ModelShape
from models.architectures import new_model
from models.language_model import LanguageModel
from training.backpropagation import Backpropagation
from training.execution import Execution, Precision
from training.micro_batches import MicroBatch

SHAPES = {
    architecture: ModelShape(
        architecture=architecture,
        layers=2, width=32, heads=2, kv_heads=2, ffn_width=48, context_length=32, vocab_size=96,
    )
    for architecture in ("decoder", "encoder")
}  # fmt: skip


@pytest.fixture(params=list(SHAPES.values()), ids=list(SHAPES))
def model(request: pytest.FixtureRequest) -> LanguageModel:
    made = new_model(request.param, seed=0)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made


def part(model: LanguageModel, *, seed: int = 0) -> MicroBatch:
    generator = torch.Generator().manual_seed(seed)
    ids, labels = torch.randint(0, model.shape.vocab_size, (2, 2, 32), generator=generator)
    return MicroBatch(ids, labels, torch.full(ids.shape, 1 / ids.numel()), None)


def gradients(model: LanguageModel) -> dict[str, Tensor]:
    found = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    assert len(found) == len(list(model.parameters()))
    model.zero_grad()
    return found


def run(model: LanguageModel, precision: Precision, *, times: int = 1) -> dict[str, Tensor]:
    passes = Backpropagation(model, execution=Execution("cpu", precision, 2, 1))
    for _ in range(times):
        passes.run([part(model)])
    return gradients(model)


def test_bf16_gives_the_masters_fp32_gradients_near_the_exact_ones(model: LanguageModel) -> None:
    exact, rough = run(model, "fp32"), run(model, "bf16")
    for name, gradient in rough.items():
        assert gradient.dtype == torch.float32
        assert (gradient - exact[name]).norm() < 0.05 * exact[name].norm(), name


def test_gradients_of_many_parts_add_up_without_rounding_to_bf16(model: LanguageModel) -> None:
    once, often = run(model, "bf16"), run(model, "bf16", times=9)
    for name, gradient in often.items():
        torch.testing.assert_close(gradient, 9 * once[name], rtol=1e-4, atol=1e-6)


def test_a_refresh_takes_over_what_the_optimizer_has_made_of_the_weights(
    model: LanguageModel,
) -> None:
    passes = Backpropagation(model, execution=Execution("cpu", "bf16", 2, 1))
    passes.run([part(model)])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert passes.run([part(model)]) == run_loss(model)


def run_loss(model: LanguageModel) -> Tensor:
    passes = Backpropagation(model, execution=Execution("cpu", "bf16", 2, 1))
    return passes.run([part(model)])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_replicas_add_up_to_the_gradients_of_one_and_always_to_the_same_bits(
    model: LanguageModel, precision: Precision
) -> None:
    parts = [part(model, seed=seed) for seed in range(7)]
    found = []
    for num_replicas in (1, 3, 3):
        execution = Execution("cpu", precision, 2, 3, replicas=num_replicas)
        passes = Backpropagation(model, execution=execution)
        passes.run(parts)
        model.zero_grad()  # the second step starts from nothing, in the replicas too
        loss = passes.run(parts)
        found.append({**gradients(model), "loss": loss})
    alone, together, again = found
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, alone[name], rtol=1e-4, atol=1e-6)
        assert torch.equal(gradient, again[name]), name


def test_an_error_of_one_replica_is_heard_when_none_is_at_work_any_more(
    model: LanguageModel,
) -> None:
    good, bad = part(model), part(model)
    bad = replace(bad, input_ids=bad.input_ids + model.shape.vocab_size)
    passes = Backpropagation(model, execution=Execution("cpu", "fp32", 2, 2, replicas=2))
    with pytest.raises(IndexError):
        passes.run([bad, good, good, good])


def test_the_passes_leave_the_masters_alone(model: LanguageModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run(model, "bf16")
    after = model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(tensor.dtype == torch.float32 for tensor in after.values())


EAGER_JOB = """
import sys
from core.spec import ModelShape, OptimizerSpec
from models.architectures import new_model
from training.backpropagation import Backpropagation
from training.execution import Execution
from training.optimizers import build_optimizer

for description in sys.argv[1:]:
    model = new_model(ModelShape.model_validate_json(description), seed=0)
    build_optimizer(model, OptimizerSpec(learning_rate=0.01), precision=model.compute_dtype)
    Backpropagation(model, execution=Execution("cpu", "bf16", 2, 2, replicas=2))
sys.exit("torch._dynamo" in sys.modules)
"""


def test_a_job_that_is_not_compiled_does_not_wait_for_torchs_compiler_to_be_imported() -> None:
    root = Path(__file__).parents[3]
    shapes = [shape.model_dump_json() for shape in SHAPES.values()]
    done = subprocess.run([sys.executable, "-c", EAGER_JOB, *shapes], cwd=root, check=False)
    assert done.returncode == 0
