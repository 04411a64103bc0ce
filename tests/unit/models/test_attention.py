"""Every kernel against the definition of attention, forward and backward."""

import pytest
import torch
from torch import Tensor

from models.attention import Kernel, Sight, attention

CPU = torch.device("cpu")
DOCUMENTS = torch.tensor([[0] * 70 + [1] * 30 + [2] * 200, [0] * 1 + [1] * 299])
SIGHTS = {
    "everything": Sight(),
    "causal": Sight(causal=True),
    "around": Sight(reach=16),
    "just before": Sight(causal=True, reach=16),
    "documents": Sight(documents=DOCUMENTS),
    "causal in documents": Sight(causal=True, documents=DOCUMENTS),
    "around in documents": Sight(reach=16, documents=DOCUMENTS),
}


def random_inputs(num_tokens: int, *, heads: int, kv_heads: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, number, num_tokens, 16, generator=generator).requires_grad_()
        for number in (heads, kv_heads, kv_heads)
    ]


def by_definition(sight: Sight, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    num_tokens = q.shape[2]
    place = torch.arange(num_tokens)
    distance = place[:, None] - place[None, :]
    visible = torch.ones(len(q), 1, num_tokens, num_tokens, dtype=torch.bool)
    if sight.causal:
        visible &= distance >= 0
    if sight.reach is not None:
        visible &= distance.abs() <= sight.reach
    if sight.documents is not None:
        visible &= (sight.documents[:, :, None] == sight.documents[:, None, :])[:, None]
    k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], dim=1) for each in (k, v))
    scores = torch.einsum("bhik,bhjk->bhij", q, k) / q.shape[-1] ** 0.5
    return torch.matmul(scores.masked_fill(~visible, -torch.inf).softmax(-1), v)


@pytest.mark.parametrize("kernel", ["sdpa", "blocks"])
@pytest.mark.parametrize("name", list(SIGHTS))
def test_every_kernel_computes_the_same_attention(kernel: Kernel, name: str) -> None:
    sight = SIGHTS[name]
    inputs = random_inputs(300, heads=4, kv_heads=2)
    attend = attention(sight, kernel=kernel, num_tokens=300, device=CPU)
    seen, expected = attend(*inputs), by_definition(sight, *inputs)
    torch.testing.assert_close(seen, expected, rtol=1e-5, atol=1e-5)
    upstream = torch.randn(seen.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        torch.autograd.grad(seen, inputs, upstream),
        torch.autograd.grad(expected, inputs, upstream),
        rtol=1e-5,
        atol=1e-5,
    )


# it says that it is slow without being compiled, and on a CPU it has no backward pass
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("name", list(SIGHTS))
def test_flex_attention_follows_the_same_rules(name: str) -> None:
    sight = SIGHTS[name]
    with torch.no_grad():
        inputs = [each.detach() for each in random_inputs(300, heads=4, kv_heads=2)]
        seen = attention(sight, kernel="flex", num_tokens=300, device=CPU)(*inputs)
        torch.testing.assert_close(seen, by_definition(sight, *inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", ["sdpa", "blocks"])
def test_bf16_is_computed_as_exactly_as_it_can_be_told(kernel: Kernel) -> None:
    inputs = [each.bfloat16() for each in random_inputs(300, heads=2, kv_heads=2)]
    seen = attention(SIGHTS["causal"], kernel=kernel, num_tokens=300, device=CPU)(*inputs)
    assert seen.dtype == torch.bfloat16
    exact = by_definition(SIGHTS["causal"], *(each.float() for each in inputs))
    torch.testing.assert_close(seen.float(), exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("kernel", ["sdpa", "blocks"])
@pytest.mark.parametrize("num_tokens", [1, 5, 17, 128, 129])
def test_sequences_of_any_length_are_attended_to(kernel: Kernel, num_tokens: int) -> None:
    for sight in (Sight(causal=True), Sight(reach=16)):
        inputs = random_inputs(num_tokens, heads=2, kv_heads=2)
        seen = attention(sight, kernel=kernel, num_tokens=num_tokens, device=CPU)(*inputs)
        torch.testing.assert_close(seen, by_definition(sight, *inputs), rtol=1e-5, atol=1e-5)


def test_a_block_reads_just_the_keys_that_it_may_see() -> None:
    block = slice(128, 256)
    assert Sight(causal=True).keys(block, num_tokens=1000) == slice(0, 256)
    assert Sight(reach=64).keys(block, num_tokens=1000) == slice(64, 320)
    assert Sight(reach=64, causal=True).keys(block, num_tokens=1000) == slice(64, 256)
    assert Sight().keys(block, num_tokens=1000) == slice(0, 1000)
