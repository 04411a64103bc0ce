"""The default rates on shapes that no preset has."""

import numpy as np
import pytest
import torch

from core.objectives import Architecture
from core.sizing import default_learning_rate
from core.spec import ModelShape, OptimizerName, OptimizerSpec
from models.architectures import new_model
from training.optimizers import build_optimizer

pytestmark = pytest.mark.exhaustive
NUM_STEPS, BATCH_TOKENS = 30, 1024
SHAPES: dict[str, tuple[int, int, int, int, int]] = {
    "wide": (1, 512, 4, 512, 32),
    "narrow": (2, 8, 1, 8, 32),
    "deep": (32, 32, 1, 64, 32),
    "of many heads": (2, 128, 64, 256, 32),
    "with a long context": (2, 64, 2, 64, 512),
    "with a wide feed-forward": (2, 64, 2, 1024, 32),
}
"""Layers, width, heads, width of the feed-forward layers, context."""


@pytest.mark.parametrize("optimizer_name", ["muon", "adamw"])
@pytest.mark.parametrize("architecture", ["decoder", "encoder"])
@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_of_ones_own_learns_at_the_default_rate(
    kind: str, architecture: Architecture, optimizer_name: OptimizerName
) -> None:
    layers, width, heads, ffn_width, context_length = SHAPES[kind]
    shape = ModelShape(
        architecture=architecture, layers=layers, width=width, heads=heads, kv_heads=heads,
        ffn_width=ffn_width, context_length=context_length, vocab_size=256,
    )  # fmt: skip
    model = new_model(shape, seed=0)
    rate = default_learning_rate(shape, optimizer_name, batch_tokens=BATCH_TOKENS)
    spec = OptimizerSpec(name=optimizer_name, learning_rate=rate, cautious_decay=True)
    optimizer = build_optimizer(model, spec, precision=torch.float32)
    generator = np.random.default_rng(0)
    losses = []
    for step in range(NUM_STEPS):
        # some tokens are far more frequent than others: what every text teaches first
        drawn = 256 * generator.power(0.3, (BATCH_TOKENS // context_length, context_length))
        ids = torch.from_numpy(drawn.astype(np.int64))
        weights = torch.full(ids.shape, 1 / ids.numel())
        loss = model.loss(ids, labels=ids.roll(-1, 1), weights=weights, positions=None)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(min(1.0, (step + 1) / 3))
        model.zero_grad()
        losses.append(float(loss.detach()))
    assert np.isfinite(losses).all()
    assert max(losses) < losses[0] + 1
    assert np.mean(losses[-5:]) < losses[0] - 0.02
