import torch

from tests.numerics.matrices import gradient, matrices, set_gradients
from training.adamw import AdamW, AdamWGroup
from training.weight_decay import Decay


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
