from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from corpora.shards import Dataset
from corpora.vocabulary import CLS, MASK, PAD
from tests.tiny_text import (
    documents,
    encode,
    job_spec,
    stream_of,
    tokenizer,
    vocabulary,
    write_dataset,
)
from training.evaluation import Scorer, evaluate, most_frequent_words

CPU = torch.device("cpu")


@dataclass
class ScoresByToken:
    """Scores every token by its id alone and remembers what it was shown."""

    scores: Tensor
    seen: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        self.seen.append((input_ids, positions))
        places = input_ids if positions is None else positions
        return self.scores.expand(*places.shape, -1)


def equal_scores() -> ScoresByToken:
    return ScoresByToken(torch.zeros(vocabulary().size))


def random_scores() -> ScoresByToken:
    return ScoresByToken(torch.randn(vocabulary().size, generator=torch.Generator().manual_seed(1)))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    texts = list(documents())
    return write_dataset(tmp_path_factory.mktemp("dataset"), train=texts[5:], validation=texts[:5])


def run(
    model: Scorer,
    dataset: Dataset,
    architecture: str,
    *,
    micro_batch: int = 4,
    context_length: int = 32,
    max_tokens: int = 131_072,
) -> dict[str, float]:
    return evaluate(
        model,
        dataset=dataset,
        spec=job_spec(architecture, context_length=context_length, max_tokens=max_tokens),
        vocabulary=vocabulary(),
        micro_batch=micro_batch,
        device=CPU,
    )


def test_decoder_that_knows_nothing_needs_log2_of_the_vocabulary_for_each_token(
    dataset: Dataset,
) -> None:
    values = run(equal_scores(), dataset, "decoder")
    assert set(values) == {"validation/loss", "validation/bits_per_byte"}
    assert values["validation/loss"] == pytest.approx(np.log(vocabulary().size), rel=1e-6)
    split = dataset.validation
    num_tokens = split.num_tokens - split.num_documents
    expected = num_tokens * np.log2(vocabulary().size) / split.num_bytes
    assert values["validation/bits_per_byte"] == pytest.approx(expected, rel=1e-6)


def test_same_words_are_removed_at_every_evaluation(dataset: Dataset) -> None:
    first, second = equal_scores(), random_scores()
    run(first, dataset, "encoder")
    run(second, dataset, "encoder")
    assert len(first.seen) == len(second.seen) > 5
    for (ids, places), (other_ids, other_places) in zip(first.seen, second.seen, strict=True):
        assert torch.equal(ids, other_ids)
        assert places is not None
        assert other_places is not None
        assert torch.equal(places, other_places)


def test_encoder_is_asked_for_15_percent_whatever_it_trains_with(dataset: Dataset) -> None:
    model = equal_scores()
    run(model, dataset, "encoder", context_length=64)
    num_masks = sum(int((ids == MASK).sum()) for ids, _ in model.seen)
    num_tokens = sum(ids.numel() for ids, _ in model.seen)
    assert 0.11 < num_masks / num_tokens < 0.16


def test_encoder_that_always_says_the_most_frequent_words_meets_the_baseline(
    dataset: Dataset,
) -> None:
    scores = torch.zeros(vocabulary().size)
    scores[torch.from_numpy(most_frequent_words(dataset.train, vocabulary()))] = 1.0
    values = run(ScoresByToken(scores), dataset, "encoder")
    assert values["validation/unigram_accuracy_top5"] > 0.1
    assert values["validation/masked_accuracy_top5"] == values["validation/unigram_accuracy_top5"]
    assert values["validation/masked_accuracy_top1"] < values["validation/masked_accuracy_top5"]


def test_unigram_accuracy_is_the_share_of_frequent_words_among_the_removed(tmp_path: Path) -> None:
    all_frequent = write_dataset(
        tmp_path / "frequent", train=[" the of to and is" * 50], validation=[" the of" * 20]
    )
    assert run(equal_scores(), all_frequent, "encoder")["validation/unigram_accuracy_top5"] == 1.0
    none_frequent = write_dataset(
        tmp_path / "rare", train=[" the of to and is" * 50], validation=[" value object" * 20]
    )
    assert run(equal_scores(), none_frequent, "encoder")["validation/unigram_accuracy_top5"] == 0.0


def test_most_frequent_words_are_counted_over_the_train_split() -> None:
    counts = {" the": 9, " of": 8, " to": 7, " and": 6, " is": 5, " value": 4}
    split = stream_of("".join(word * count for word, count in counts.items()) + ",.;" * 50)
    frequent = most_frequent_words(split, vocabulary())
    assert [tokenizer().decode([id_]) for id_ in frequent.tolist()] == list(counts)[:5]


def test_model_that_scores_all_tokens_alike_has_guessed_nothing(dataset: Dataset) -> None:
    values = run(equal_scores(), dataset, "encoder")
    assert values["validation/masked_accuracy_top5"] < 0.05
    assert values["validation/loss"] == pytest.approx(np.log(vocabulary().size), rel=1e-6)


@pytest.mark.parametrize("architecture", ["decoder", "encoder"])
def test_values_do_not_depend_on_the_micro_batch(dataset: Dataset, architecture: str) -> None:
    few = run(random_scores(), dataset, architecture, micro_batch=3)
    many = run(random_scores(), dataset, architecture, micro_batch=1000)
    assert few == pytest.approx(many, rel=1e-9)


@pytest.mark.parametrize("architecture", ["decoder", "encoder"])
def test_every_batch_has_the_same_shape(dataset: Dataset, architecture: str) -> None:
    model = equal_scores()
    run(model, dataset, architecture, micro_batch=7)
    assert {tuple(ids.shape) for ids, _ in model.seen} == {(7, 32)}


def test_no_more_is_read_than_allowed(dataset: Dataset) -> None:
    model = equal_scores()
    run(model, dataset, "decoder", micro_batch=4, max_tokens=8 * 32)
    assert sum(ids.numel() for ids, _ in model.seen) == 8 * 32


@pytest.mark.parametrize("architecture", ["decoder", "encoder"])
def test_held_out_text_shorter_than_a_window_is_measured(tmp_path: Path, architecture: str) -> None:
    dataset = write_dataset(tmp_path, train=["one two three"], validation=["the value of it"])
    model = equal_scores()
    values = run(model, dataset, architecture, context_length=256)
    assert values["validation/loss"] == pytest.approx(np.log(vocabulary().size), rel=1e-6)
    ((ids, _),) = model.seen
    assert int((ids == PAD).sum()) == 256 - 2 - len(encode("the value of it"))
    if architecture == "decoder":
        bits = len(encode("the value of it")) * np.log2(vocabulary().size)
        expected = bits / len("the value of it")
        assert values["validation/bits_per_byte"] == pytest.approx(expected, rel=1e-6)
    else:
        assert int(ids[0, 0]) == CLS


def test_nothing_held_out_gives_no_values(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, train=["one two three"], validation=[])
    assert run(equal_scores(), dataset, "decoder") == {}
    assert run(equal_scores(), dataset, "encoder") == {}
