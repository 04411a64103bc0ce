import pytest
import torch

from core.spec import ModelShape, OptimizerSpec
from models.architectures import new_model
from models.language_model import LanguageModel
from tests.numerics.matrices import matrices, set_gradients
from training.adamw import AdamW, AdamWGroup
from training.muon import Muon
from training.optimizers import build_optimizer
from training.weight_decay import Decay


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_cautious_decay_shrinks_what_the_update_shrinks_and_nothing_else(name: str) -> None:
    with_decay, without = matrices(seed=0), matrices(seed=0)
    decays = (Decay(0.5, is_cautious=True), Decay(0.0))
    for parameters, decay in zip((with_decay, without), decays, strict=True):
        named = [(str(index), parameter) for index, parameter in enumerate(parameters)]
        settings = {"peak_rate": 0.02, "decay": decay}
        optimizer = (
            AdamW([AdamWGroup(named, **settings)], betas=(0.9, 0.95))  # type: ignore[arg-type]
            if name == "adamw"
            else Muon(named, **settings, fused={}, precision=torch.float32)  # type: ignore[arg-type]
        )
        set_gradients(parameters, seed=1)
        optimizer.step(0.5)
    for mine, free, old in zip(with_decay, without, matrices(seed=0), strict=True):
        shrinks = old * (old - free) >= 0
        assert 0.3 < shrinks.float().mean() < 0.7
        expected = free - 0.01 * 0.5 * torch.where(shrinks, old, 0.0)
        torch.testing.assert_close(mine.detach(), expected.detach())


@pytest.fixture(params=["decoder", "encoder"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    shape = ModelShape(
        architecture=request.param, layers=2, width=32, heads=2, kv_heads=2, ffn_width=48,
        context_length=32, vocab_size=64,
    )  # fmt: skip
    return new_model(shape, seed=0)


@pytest.mark.parametrize("is_cautious", [False, True])
def test_weight_decay_leaves_embeddings_norms_and_biases_alone(
    model: LanguageModel, *, is_cautious: bool
) -> None:
    optimizer = build_optimizer(
        model,
        OptimizerSpec(
            name="adamw", learning_rate=0.1, weight_decay=1.0, cautious_decay=is_cautious
        ),
        precision=torch.float32,
    )
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(1.0)
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and parameter is not model.input_table
        expected = before[name] * 0.9 if hidden else before[name]
        torch.testing.assert_close(parameter.detach(), expected, msg=name)


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_an_optimizer_goes_on_from_its_saved_state_to_the_same_bits(
    name: str, model: LanguageModel
) -> None:
    spec = OptimizerSpec(name=name, learning_rate=0.02, cautious_decay=True)  # type: ignore[arg-type]
    optimizer = build_optimizer(model, spec, precision=torch.float32)
    parameters = list(model.parameters())
    for step in range(3):
        set_gradients(parameters, seed=step)
        optimizer.step(1.0)
    twin = new_model(model.shape, seed=9)
    twin.load_state_dict(model.state_dict())
    heir = build_optimizer(twin, spec, precision=torch.float32)
    heir.load_state({key: tensor.clone() for key, tensor in optimizer.state().items()})
    for parameters_of, moving in ((model, optimizer), (twin, heir)):
        set_gradients(list(parameters_of.parameters()), seed=7)
        moving.step(0.5)
    assert all(
        torch.equal(mine, other)
        for mine, other in zip(model.parameters(), twin.parameters(), strict=True)
    )
