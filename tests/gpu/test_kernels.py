"""What only a CUDA device can show."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.objectives import Architecture
from core.spec import ModelShape
from models.architectures import new_model
from models.attention import Kernel, Sight, attention
from training.backpropagation import Backpropagation
from training.compiling import CACHE_VARIABLE
from training.execution import Execution, Precision
from training.micro_batches import MicroBatch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # torch's compiler does to autograd functions what torch warns of
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]


@pytest.mark.parametrize("name", ["around", "documents", "causal in documents"])
def test_flex_attention_computes_what_torchs_own_does(name: str) -> None:
    device = torch.device("cuda")
    documents = torch.tensor([[0] * 200 + [1] * 56, [0] * 100 + [1] * 156], device=device)
    sight = {
        "around": Sight(reach=64),
        "documents": Sight(documents=documents),
        "causal in documents": Sight(causal=True, documents=documents),
    }[name]
    generator = torch.Generator(device).manual_seed(0)
    inputs = [
        torch.randn(2, heads, 256, 64, device=device, generator=generator).requires_grad_()
        for heads in (4, 2, 2)
    ]

    def attend(kernel: Kernel) -> list[Tensor]:
        seen = attention(sight, kernel=kernel, num_tokens=256, device=device)(*inputs)
        return [seen, *torch.autograd.grad(seen.square().sum(), inputs)]

    torch.set_float32_matmul_precision("highest")
    torch.testing.assert_close(attend("flex"), attend("sdpa"), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("architecture", "precision", "has_documents"),
    [
        ("decoder", "fp32", False),
        ("decoder", "bf16", False),
        ("decoder", "bf16", True),
        ("encoder", "bf16", False),
    ],
)
def test_a_gpu_computes_the_gradients_of_a_cpu(
    architecture: Architecture,
    precision: Precision,
    has_documents: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    shape = ModelShape(
        architecture=architecture, layers=4, width=256, heads=2, kv_heads=2, ffn_width=256,
        context_length=256, vocab_size=512,
    )  # fmt: skip
    exact = gradients(shape, Execution("cpu", "fp32", 4, 2), has_documents=has_documents)
    kernel: Kernel = "flex" if has_documents or architecture == "encoder" else "sdpa"
    for execution in (
        Execution("cuda", precision, 4, 2),
        Execution("cuda", precision, 4, 2, compiled=True, attention=kernel),
    ):
        found = gradients(shape, execution, has_documents=has_documents)
        tolerance = 1e-3 if precision == "fp32" else 0.05
        for one, other in zip(exact, found, strict=True):
            assert (one - other).norm() <= tolerance * one.norm()


def gradients(shape: ModelShape, execution: Execution, *, has_documents: bool) -> list[Tensor]:
    execution.prepare()
    model = new_model(shape, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    device = execution.torch_device
    model.to(device)
    ids = torch.randint(0, shape.vocab_size, (4, shape.context_length), generator=generator)
    documents = (torch.arange(shape.context_length) // 100).expand(4, -1).int().contiguous()
    passes = Backpropagation(model, execution=execution)
    part = MicroBatch(
        input_ids=ids.to(device),
        labels=ids.roll(-1, 1).to(device),
        weights=torch.full(ids.shape, 1 / ids.numel(), device=device),
        positions=None,
        documents=documents.to(device) if has_documents else None,
    )
    passes.run([part])
    return [p.grad.cpu() for p in model.parameters() if p.grad is not None]
