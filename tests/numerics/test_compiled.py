"""Compiled kernels against torch's own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.objectives import Architecture
from core.spec import ModelShape
from models.architectures import new_model
from training.backpropagation import Backpropagation
from training.compiling import CACHE_VARIABLE, can_compile, compiled
from training.execution import Execution, Precision
from training.micro_batches import MicroBatch
from training.muon import Muon
from training.weight_decay import Decay

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.timeout(600),
    # torch's compiler does what torch warns of
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*script_method.*is deprecated:DeprecationWarning"),
    pytest.mark.skipif(not can_compile(), reason="no C++ compiler, or no headers of Python"),
]


def gradients(
    shape: ModelShape, *, execution: Execution, num_positions: int | None, causal: bool
) -> list[Tensor]:
    """Of a step of two parts; the loss comes first."""
    model = new_model(shape, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    passes = Backpropagation(model, execution=execution)
    parts = []
    for _ in range(2):
        ids = torch.randint(0, shape.vocab_size, (2, shape.context_length), generator=generator)
        positions = None
        if num_positions is not None:
            positions = torch.arange(num_positions).expand(2, -1).contiguous()
        labels = ids if positions is None else ids.gather(1, positions)
        weights = torch.full(labels.shape, 0.5 / labels.numel())
        parts.append(MicroBatch(ids, labels, weights, positions, causal=causal))
    loss = passes.run(parts)
    return [loss, *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("architecture", "causal"), [("decoder", True), ("encoder", False), ("encoder", True)]
)
def test_compiled_passes_give_the_gradients_of_eager_ones(
    architecture: Architecture,
    precision: Precision,
    *,
    causal: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    shape = ModelShape(
        architecture=architecture, layers=4, width=64, heads=2, kv_heads=2, ffn_width=96,
        context_length=256, vocab_size=192,
    )  # fmt: skip
    plain = Execution("cpu", precision, micro_batch=2, threads=1)
    eager, kernels = (
        gradients(shape, execution=execution, num_positions=None if causal else 40, causal=causal)
        for execution in (plain, replace(plain, compiled=True, attention="blocks"))
    )
    tolerance = 1e-5 if precision == "fp32" else 0.05
    for one, other in zip(eager, kernels, strict=True):
        assert (one - other).norm() <= tolerance * one.norm() + 1e-7


def test_each_of_many_stages_and_smaller_micro_batches_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    doubled = compiled(lambda numbers: numbers * 2)
    for shape in range(1, 11):  # torch gives up after eight
        assert doubled(torch.ones(shape)).sum() == 2 * shape


def test_compiled_muon_moves_as_eager_muon_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    moved = []
    for compile_it in (False, True):
        generator = torch.Generator().manual_seed(0)
        shapes = [(24, 40), (40, 24), (24, 40)]
        weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
        muon = Muon(
            [(str(index), parameter) for index, parameter in enumerate(weights)],
            peak_rate=0.02,
            decay=Decay(0.1, is_cautious=True),
            fused={},
            precision=torch.float32,
        )
        muon.rehearse(compile_it=compile_it)
        for _ in range(3):
            for parameter in weights:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            muon.step(1.0)
        moved.append([*(parameter.detach() for parameter in weights), *muon.state().values()])
    for eager, kernels in zip(*moved, strict=True):
        torch.testing.assert_close(kernels, eager, rtol=1e-4, atol=1e-5)
