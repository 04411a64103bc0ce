"""The rehearsal before the first step."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from core.spec import ModelShape, OptimizerSpec
from models.architectures import new_model
from models.decoder import Decoder
from models.language_model import LanguageModel
from training.backpropagation import Backpropagation
from training.compiling import CACHE_VARIABLE, can_compile
from training.dry_run import rehearse
from training.execution import Execution
from training.loader import Batch
from training.micro_batches import micro_batches
from training.optimizers import Optimizer, build_optimizer
from training.ports import SilentReporter

SHAPE = ModelShape(
    architecture="decoder", layers=2, width=32, heads=2, kv_heads=2, ffn_width=48,
    context_length=16, vocab_size=96,
)  # fmt: skip
EXECUTION = Execution("cpu", "fp32", micro_batch=8, threads=1)


class Notices(SilentReporter):
    def __init__(self) -> None:
        self.codes: list[str] = []
        self.data: list[Mapping[str, Any]] = []

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        assert message
        self.codes.append(code)
        self.data.append(data)


def batch() -> Batch:
    ids = np.random.default_rng(0).integers(64, 96, (8, 17))
    mask = np.ones((8, 16), np.bool_)
    return Batch(ids[:, :-1], ids[:, 1:], None, mask, None, causal=True, num_tokens=ids[:, 1:].size)


def optimizer(model: LanguageModel) -> Optimizer:
    return build_optimizer(model, OptimizerSpec(learning_rate=0.02), precision=torch.float32)


def cramped(*, room: int) -> LanguageModel:
    """A model on a device that has room for so many sequences at a time."""

    class Cramped(Decoder):
        def hidden(self, input_ids_BT: Tensor, **rules: Any) -> Tensor:
            if len(input_ids_BT) > room:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            return super().hidden(input_ids_BT, **rules)

    model = Cramped(SHAPE)
    model.load_state_dict(new_model(SHAPE, seed=0).state_dict())
    return model


def test_a_rehearsal_leaves_everything_as_it_was() -> None:
    model = new_model(SHAPE, seed=0)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.get_rng_state()
    moving = optimizer(model)
    rehearse(
        model,
        optimizer=moving,
        batches=[batch()],
        execution=EXECUTION,
        reporter=SilentReporter(),
    )
    assert not any(tensor.any() for tensor in moving.state().values())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gradients_are_the_same_bits_with_and_without_a_rehearsal(precision: Any) -> None:
    execution = Execution("cpu", precision, micro_batch=8, threads=1)
    part = next(micro_batches(batch(), size=8, num_labels=1, device=torch.device("cpu")))
    found = []
    for is_rehearsed in (True, False):
        model = new_model(SHAPE, seed=0)
        if is_rehearsed:
            passes, _ = rehearse(
                model,
                optimizer=optimizer(model),
                batches=[batch()],
                execution=execution,
                reporter=SilentReporter(),
            )
        else:
            passes = Backpropagation(model, execution=execution)
        passes.run([part])
        found.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in found[0].items():
        other = found[1][name]
        assert gradient is not None
        assert other is not None
        assert torch.equal(gradient, other), name


def test_a_device_with_little_memory_gets_micro_batches_that_fit() -> None:
    notices = Notices()
    model = cramped(room=2)
    _, settled = rehearse(
        model,
        optimizer=optimizer(model),
        batches=[batch()],
        execution=EXECUTION,
        reporter=notices,
    )
    assert settled.micro_batch == 2
    assert notices.codes == ["micro_batch_halved", "micro_batch_halved"]
    assert [data["micro_batch"] for data in notices.data] == [4, 2]


def test_memory_too_small_for_one_sequence_is_an_error() -> None:
    model = cramped(room=0)
    with pytest.raises(torch.OutOfMemoryError):
        rehearse(
            model,
            optimizer=optimizer(model),
            batches=[batch()],
            execution=EXECUTION,
            reporter=SilentReporter(),
        )


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not can_compile(), reason="no C++ compiler, or no headers of Python")
def test_a_compiler_that_fails_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config  # noqa: PLC0415 - takes seconds, for this test alone

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    compiled = Execution("cpu", "fp32", micro_batch=8, threads=1, compiled=True)
    notices = Notices()
    model = new_model(SHAPE, seed=0)
    with config.patch({"cpp.cxx": (None, "false")}):
        _, settled = rehearse(
            model,
            optimizer=optimizer(model),
            batches=[batch()],
            execution=compiled,
            reporter=notices,
        )
    assert settled == EXECUTION
    assert notices.codes == ["not_compiled"]
    assert "No working C++ compiler" in notices.data[0]["cause"]
