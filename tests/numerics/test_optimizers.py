import pytest
import torch
from torch import Tensor, nn

from core.spec import ModelShape, OptimizerSpec
from models.architectures import new_model
from models.language_model import LanguageModel
from training.optimizers import (
    AdamW,
    AdamWGroup,
    Decay,
    Muon,
    build_optimizer,
    orthogonalise,
)

SHAPES = [(16, 16), (16, 16), (16, 40), (40, 16), (16, 16)]


def matrices(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def set_gradients(parameters: list[nn.Parameter], *, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_stacked_muon_moves_as_torchs_muon_does() -> None:
    ours, theirs = matrices(seed=0), matrices(seed=0)
    muon = Muon(
        [(str(index), parameter) for index, parameter in enumerate(ours)],
        peak_rate=0.02,
        decay=Decay(0.1),
        fused={},
        precision=torch.bfloat16,
    )
    oracle = torch.optim.Muon(
        theirs, lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(5):
        set_gradients(ours, seed=step)
        set_gradients(theirs, seed=step)
        muon.step(0.5)
        oracle.step()
    for mine, other, start in zip(ours, theirs, matrices(seed=0), strict=True):
        torch.testing.assert_close(mine - start, other - start, rtol=0.02, atol=2e-4)


def test_adamw_moves_to_the_bit_as_torchs_adamw_does() -> None:
    ours, theirs = matrices(seed=0), matrices(seed=0)
    named = [(str(index), parameter) for index, parameter in enumerate(ours)]
    adamw = AdamW(
        [
            AdamWGroup(named[:3], peak_rate=0.02, decay=Decay(0.1)),
            AdamWGroup(named[3:], peak_rate=0.05, decay=Decay(0.0)),
        ],
        betas=(0.9, 0.95),
    )
    oracle = torch.optim.AdamW(
        [
            {"params": theirs[:3], "lr": 0.01, "weight_decay": 0.1},
            {"params": theirs[3:], "lr": 0.025, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        eps=1e-10,
        fused=True,
    )
    for step in range(5):
        set_gradients(ours, seed=step)
        set_gradients(theirs, seed=step)
        adamw.step(0.5)
        oracle.step()
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def test_a_fused_parameter_moves_as_its_parts_would() -> None:
    fused = nn.Parameter(torch.cat([p.detach() for p in matrices(seed=0)[:2]]))
    parts = matrices(seed=0)[:2]
    set_gradients(parts, seed=1)
    fused.grad = torch.cat([gradient(part) for part in parts])
    settings = {"peak_rate": 0.02, "decay": Decay(0.1), "precision": torch.float32}
    Muon([("x.Wqkv.weight", fused)], fused={"Wqkv.weight": 2}, **settings).step(1.0)  # type: ignore[arg-type]
    Muon([("a", parts[0]), ("b", parts[1])], fused={}, **settings).step(1.0)  # type: ignore[arg-type]
    torch.testing.assert_close(fused, torch.cat([p.detach() for p in parts]))


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


def test_the_cautious_decay_of_adamw_follows_the_mean_of_the_gradients() -> None:
    (weights,) = matrices(seed=0)[:1]
    group = AdamWGroup([("w", weights)], peak_rate=0.01, decay=Decay(0.5, is_cautious=True))
    adamw = AdamW([group], betas=(0.9, 0.95))
    expected = weights.detach().clone()
    mean, square = torch.zeros_like(expected), torch.zeros_like(expected)
    for step in range(1, 6):
        set_gradients([weights], seed=step)
        adamw.step(1.0)
        mean = 0.9 * mean + 0.1 * gradient(weights)
        square = 0.95 * square + 0.05 * gradient(weights) ** 2
        update = mean / (1 - 0.9**step) / ((square / (1 - 0.95**step)).sqrt() + 1e-10)
        decayed = torch.where(expected * update >= 0, 0.5 * expected, 0.0)
        expected = expected - 0.01 * (update + decayed)
    torch.testing.assert_close(weights.detach(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 32, 96), (2, 96, 32)])
def test_newton_schulz_brings_all_singular_values_near_one(shape: tuple[int, ...]) -> None:
    stack = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(stack))
    assert values.min() > 0.3
    assert values.max() < 1.4


def test_newton_schulz_keeps_the_singular_vectors() -> None:
    matrix = torch.randn(1, 24, 32, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrix[0], full_matrices=False)
    turned = left.T @ orthogonalise(matrix)[0] @ right.T
    assert (turned - torch.diag(turned.diag())).abs().max() < 1e-3


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


def gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
