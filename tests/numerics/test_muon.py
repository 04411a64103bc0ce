import pytest
import torch
from torch import nn

from tests.numerics.matrices import gradient, matrices, set_gradients
from training.muon import Muon, orthogonalise
from training.weight_decay import Decay


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


def test_a_fused_parameter_moves_as_its_parts_would() -> None:
    fused = nn.Parameter(torch.cat([p.detach() for p in matrices(seed=0)[:2]]))
    parts = matrices(seed=0)[:2]
    set_gradients(parts, seed=1)
    fused.grad = torch.cat([gradient(part) for part in parts])
    settings = {"peak_rate": 0.02, "decay": Decay(0.1), "precision": torch.float32}
    Muon([("x.Wqkv.weight", fused)], fused={"Wqkv.weight": 2}, **settings).step(1.0)  # type: ignore[arg-type]
    Muon([("a", parts[0]), ("b", parts[1])], fused={}, **settings).step(1.0)  # type: ignore[arg-type]
    torch.testing.assert_close(fused, torch.cat([p.detach() for p in parts]))


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
