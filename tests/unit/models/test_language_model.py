import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from core.presets import PRESETS, Preset
from core.sizing import num_parameters
from core.spec import ModelShape
from models.architectures import empty_model, new_model
from models.layers import RMSNorm, linear_cross_entropy

SHAPES = {
    "decoder": ModelShape(
        architecture="decoder", layers=3, width=64, heads=4, kv_heads=2, ffn_width=96,
        context_length=128, vocab_size=192,
    ),
    "untied decoder": ModelShape(
        architecture="decoder", layers=2, width=64, heads=2, kv_heads=2, ffn_width=96,
        context_length=128, vocab_size=192, tie_embeddings=False,
    ),
    "encoder": ModelShape(
        architecture="encoder", layers=4, width=64, heads=2, kv_heads=2, ffn_width=96,
        context_length=128, vocab_size=192,
    ),
}  # fmt: skip


@pytest.fixture(params=list(SHAPES.values()), ids=list(SHAPES))
def shape(request: pytest.FixtureRequest) -> ModelShape:
    return request.param  # type: ignore[no-any-return]


def random_ids(shape: ModelShape, *, num_tokens: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, shape.vocab_size, (2, num_tokens), generator=generator)


def test_the_number_of_parameters_is_what_the_sizing_arithmetic_says(shape: ModelShape) -> None:
    model = new_model(shape, seed=0)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(shape)


@pytest.mark.parametrize(("architecture", "size"), [("decoder", "base"), ("encoder", "base")])
def test_the_sizing_arithmetic_holds_for_the_large_presets(architecture: str, size: str) -> None:
    preset = PRESETS[architecture][size]  # type: ignore[index]
    with torch.device("meta"):
        model = empty_model(preset.shape(vocab_size=50368))
    assert sum(p.numel() for p in model.parameters()) == num_parameters(model.shape)


def test_equal_seeds_give_equal_weights_and_other_seeds_others(shape: ModelShape) -> None:
    first, again, other = (new_model(shape, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_drawing_weights_leaves_the_global_random_generator_alone(shape: ModelShape) -> None:
    before = torch.get_rng_state()
    new_model(shape, seed=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "preset",
    [preset for by_name in PRESETS.values() for preset in by_name.values()],
    ids=lambda preset: f"{preset.architecture} of width {preset.width}",
)
def test_a_fresh_model_as_wide_as_any_preset_guesses_about_evenly(preset: Preset) -> None:
    shape = replace(preset, layers=1, ffn_width=64, context_length=32).shape(vocab_size=512)
    ids = random_ids(shape, num_tokens=32)
    logits = new_model(shape, seed=0).logits(ids)
    loss = functional.cross_entropy(logits.flatten(0, 1), ids.roll(7).flatten())
    assert loss.item() == pytest.approx(math.log(512), abs=0.3)


def test_a_decoder_never_sees_what_comes_later() -> None:
    model = new_model(SHAPES["decoder"], seed=0)
    shake(model)
    ids = random_ids(model.shape, num_tokens=50)
    changed = ids.clone()
    changed[:, 30:] = (changed[:, 30:] + 1) % model.shape.vocab_size
    before, after = model.logits(ids), model.logits(changed)
    torch.testing.assert_close(before[:, :30], after[:, :30])
    assert not torch.allclose(before[:, 30:], after[:, 30:])


def test_an_encoder_sees_both_sides() -> None:
    model = new_model(SHAPES["encoder"], seed=0)
    shake(model)
    ids = random_ids(model.shape, num_tokens=50)
    changed = ids.clone()
    changed[:, -1] = (changed[:, -1] + 1) % model.shape.vocab_size
    assert not torch.allclose(model.logits(ids)[:, 0], model.logits(changed)[:, 0])


def test_an_encoder_that_begins_causally_never_sees_what_comes_later() -> None:
    shape = SHAPES["encoder"].model_copy(update={"context_length": 200})
    model = new_model(shape, seed=0)
    shake(model)
    ids = random_ids(shape, num_tokens=200)  # further than its local layers look
    changed = ids.clone()
    changed[:, 130:] = (changed[:, 130:] + 1) % shape.vocab_size
    for kernel in ("sdpa", "blocks"):
        model.kernel = kernel
        before, after = model.hidden(ids, causal=True), model.hidden(changed, causal=True)
        torch.testing.assert_close(before[:, :130], after[:, :130])
        assert not torch.allclose(before[:, 130:], after[:, 130:])
        assert not torch.allclose(before, model.hidden(ids))


def test_logits_at_positions_are_those_of_the_whole_sequence(shape: ModelShape) -> None:
    model = new_model(shape, seed=0)
    shake(model)
    ids = random_ids(shape, num_tokens=50)
    positions = torch.tensor([[3, 10, 49], [0, 1, 2]])
    everywhere = model.logits(ids)
    expected = torch.stack([row[places] for row, places in zip(everywhere, positions, strict=True)])
    torch.testing.assert_close(model.logits(ids, positions=positions), expected)


def test_the_loss_and_its_gradients_are_those_of_plain_cross_entropy(shape: ModelShape) -> None:
    model = new_model(shape, seed=0)
    shake(model)
    ids, labels = (random_ids(shape, num_tokens=50, seed=seed) for seed in (0, 1))
    weights = torch.rand(labels.shape)
    losses = functional.cross_entropy(
        model.logits(ids).flatten(0, 1), labels.flatten(), reduction="none"
    )
    plain = losses @ weights.flatten()
    plain.backward()
    expected = gradients(model)
    model.zero_grad()
    loss = model.loss(ids, labels=labels, weights=weights, positions=None)
    loss.backward()
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(gradients(model), expected, rtol=1e-4, atol=1e-5)


def test_attention_by_blocks_gives_the_same_gradients(shape: ModelShape) -> None:
    ids = random_ids(shape, num_tokens=100)
    found = []
    for kernel in ("sdpa", "blocks"):
        model = new_model(shape, seed=0)
        shake(model)
        model.kernel = kernel
        weights = torch.full(ids.shape, 1 / ids.numel())
        model.loss(ids, labels=ids.roll(1), weights=weights, positions=None).backward()
        found.append(gradients(model))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-5)


def test_a_document_is_read_as_if_it_stood_alone(shape: ModelShape) -> None:
    model = new_model(shape, seed=0)
    shake(model)
    ids = random_ids(shape, num_tokens=60)
    documents = torch.tensor([0] * 20 + [1] * 40).expand(2, -1)
    states = model.hidden(ids, documents=documents)
    torch.testing.assert_close(states[:, :20], model.hidden(ids[:, :20]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(states[:, 20:], model.hidden(ids[:, 20:]), rtol=1e-4, atol=1e-4)


def test_a_loss_in_many_chunks_is_the_loss_in_one() -> None:
    hidden, table = torch.randn(600, 4), torch.randn(50, 4)  # two whole chunks and a part of one
    targets, weights = torch.randint(0, len(table), (600,)), torch.rand(600)
    chunked = linear_cross_entropy(hidden, table, None, targets_N=targets, weights_N=weights)
    each = torch.nn.functional.cross_entropy(hidden @ table.T, targets, reduction="none")
    torch.testing.assert_close(chunked, (each * weights).sum())


def test_a_weight_of_zero_leaves_a_label_out() -> None:
    model = new_model(SHAPES["encoder"], seed=0)
    ids = random_ids(model.shape, num_tokens=20)
    places = torch.tensor([[1, 5], [2, 6]])
    weights = torch.tensor([[0.5, 0.0], [0.5, 0.0]])
    losses = [
        model.loss(ids, labels=torch.tensor(labels), weights=weights, positions=places).item()
        for labels in ([[9, 1], [8, 1]], [[9, 70], [8, 80]])
    ]
    assert losses[0] == losses[1]


def test_bf16_gives_about_the_same_loss(shape: ModelShape) -> None:
    model = new_model(shape, seed=0)
    shake(model)
    ids = random_ids(shape, num_tokens=50)
    weights = torch.full(ids.shape, 1 / ids.numel())
    exact = model.loss(ids, labels=ids, weights=weights, positions=None)
    model.compute_dtype = torch.bfloat16
    rough = model.loss(ids, labels=ids, weights=weights, positions=None)
    rough.backward()
    torch.testing.assert_close(rough, exact, rtol=0.03, atol=0)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_rms_norm_and_its_gradients_are_those_of_torch() -> None:
    norm = RMSNorm(24)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(3, 5, 24, requires_grad=True)
    upstream = torch.randn(3, 5, 24)
    ours = torch.autograd.grad(norm(x), (x, norm.weight), upstream)
    torchs = torch.autograd.grad(
        functional.rms_norm(x, (24,), norm.weight, 1e-6), (x, norm.weight), upstream
    )
    torch.testing.assert_close(ours, torchs)


def shake(model: torch.nn.Module) -> None:
    """Move every weight off its start, where whole branches are zero."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)


def gradients(model: torch.nn.Module) -> list[Tensor]:
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    assert len(found) == len(list(model.parameters()))
    return found
