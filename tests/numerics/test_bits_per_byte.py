from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.tiny_text import documents, job_spec, vocabulary, write_dataset
from training.evaluation import evaluate

CONTEXT_LENGTH = 32


class Bigram(nn.Module):
    """Guesses the next token from the one before it."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        size = vocabulary().size
        self.table_VV = torch.randn(size, size, generator=generator)

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        assert positions is None
        return self.table_VV[input_ids]


def test_bits_per_byte_is_what_a_loop_over_the_text_gives(tmp_path: Path) -> None:
    texts = [documents()[0], "naïve \N{GRINNING FACE} text", documents()[1][:500]]
    dataset = write_dataset(tmp_path, train=["one"], validation=texts)
    model = Bigram()
    values = evaluate(
        model,
        dataset=dataset,
        spec=job_spec("decoder", context_length=CONTEXT_LENGTH),
        vocabulary=vocabulary(),
        micro_batch=5,
        device=torch.device("cpu"),
    )
    ids = dataset.validation.read(0, dataset.validation.num_tokens).tolist()
    assert len(ids) > 3 * CONTEXT_LENGTH
    log_probabilities = model.table_VV.double().log_softmax(-1)
    nats, text_nats = [], []
    for before, after in zip(ids, [*ids[1:], 0], strict=True):
        nats.append(-float(log_probabilities[before, after]))
        if after != 0:
            text_nats.append(nats[-1])
    num_bytes = sum(len(text.encode()) for text in texts)
    assert values["validation/bits_per_byte"] == pytest.approx(
        sum(text_nats) / math.log(2) / num_bytes, rel=1e-6
    )
    assert values["validation/loss"] == pytest.approx(sum(nats) / len(nats), rel=1e-6)
