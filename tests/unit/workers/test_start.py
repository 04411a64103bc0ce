"""What stands between a job and its first step: imports, for every attempt has its processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

BUILDS_AN_OPTIMIZER = """
import torch
from core.spec import ModelShape, OptimizerSpec
from models.architectures import new_model
from training.optimizers import build_optimizer
import training.build

shape = ModelShape(
    architecture="decoder", layers=1, width=32, heads=2, kv_heads=2, ffn_width=32,
    context_length=16, vocab_size=64,
)
model = new_model(shape, seed=0)
optimizer = build_optimizer(model, OptimizerSpec(learning_rate=0.01), precision=torch.float32)
ids = torch.zeros(1, 16, dtype=torch.long)
model.loss(ids, labels=ids, weights=torch.ones(1, 16), positions=None).backward()
optimizer.step(1.0)
"""


@pytest.mark.parametrize(
    ("code", "needless"),
    [("import workers.runner", "alembic"), (BUILDS_AN_OPTIMIZER, "torch._dynamo")],
)
def test_slow_imports_that_an_attempt_does_without_stay_out(code: str, needless: str) -> None:
    asks = f"{code}\nimport sys\nprint({needless!r} in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", asks], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False\n"
