"""Evaluation: how well a model guesses words that it was not trained on.

The held-out split is read in order, from its beginning, up to ``evaluation.max_tokens``. Nothing is
drawn that differs from one evaluation to the next, so that the values of a job, and of two jobs on
one corpus, can be compared.

Shape suffixes: B sequences, T tokens of a sequence, K removed tokens of a sequence, L labels of a
sequence (T or K), V vocabulary, N labels of all sequences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.objectives import CausalObjective, MaskedObjective
from core.spec import JobSpec
from corpora.objectives import remover_for
from corpora.removers.samples import Samples
from corpora.shards import Dataset
from corpora.vocabulary import Vocabulary
from corpora.windows import TokenStream, TokenWindows

EVALUATION_RATE: Final = 0.15
"""Share of the tokens removed from held-out text, whatever rate a job trains with."""
EVALUATION_SEED: Final = 0
"""The same words are removed at every evaluation of every job."""
NUM_GUESSES: Final = 5

_SAMPLED_BLOCKS: Final = 64
_TOKENS_PER_BLOCK: Final = 2**14
_MOST_SCORES: Final = 2**28
"""Of a batch, 1 GiB in fp32: training never holds them all, so its micro-batch may be too large."""


class Scorer(Protocol):
    """A network that scores tokens."""

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        """``(B, T)`` to ``(B, T, V)``, or to ``(B, K, V)`` at the ``positions`` ``(B, K)``."""
        ...


def evaluate_corpora(
    model: Scorer,
    *,
    datasets: Mapping[str, Dataset],
    spec: JobSpec,
    vocabulary: Vocabulary,
    micro_batch: int,
    device: torch.device,
) -> dict[str, float]:
    """Measure a model on the held-out split of each corpus of a job.

    Args:
        model: see :func:`evaluate`.
        datasets: by the id of the corpus; each is read as far as its part of
            ``evaluation.max_tokens`` goes.
        spec: also gives the share of each corpus.
        vocabulary: see :func:`evaluate`.
        micro_batch: see :func:`evaluate`.
        device: see :func:`evaluate`.

    Returns:
        The values of :func:`evaluate`. Of several corpora, those of each as ``<name>/<corpus id>``,
        and under their own names the means by the shares of the corpora that have held-out text.
    """
    tokens_each = max(1, spec.evaluation.max_tokens // len(datasets))
    evaluation = spec.evaluation.model_copy(update={"max_tokens": tokens_each})
    part = spec.model_copy(update={"evaluation": evaluation})
    by_corpus = {
        corpus: evaluate(
            model,
            dataset=dataset,
            spec=part,
            vocabulary=vocabulary,
            micro_batch=micro_batch,
            device=device,
        )
        for corpus, dataset in datasets.items()
    }
    return over_corpora(by_corpus, shares=spec.corpus_shares)


def over_corpora(
    by_corpus: Mapping[str, Mapping[str, float]], *, shares: Mapping[str, float]
) -> dict[str, float]:
    """The values of a mixture from those of each of its corpora, as :func:`evaluate_corpora` says.

    Args:
        by_corpus: What was measured, by the id of the corpus; one may lack what others have.
        shares: Of the samples that a job takes from each corpus.
    """
    if len(by_corpus) == 1:
        return dict(*by_corpus.values())
    values = {
        f"{name}/{corpus}": value
        for corpus, measured in by_corpus.items()
        for name, value in measured.items()
    }
    for name in dict.fromkeys(name for measured in by_corpus.values() for name in measured):
        having = [corpus for corpus, measured in by_corpus.items() if name in measured]
        total = sum(shares[corpus] for corpus in having)
        values[name] = sum(shares[corpus] * by_corpus[corpus][name] for corpus in having) / total
    return values


def evaluate(
    model: Scorer,
    *,
    dataset: Dataset,
    spec: JobSpec,
    vocabulary: Vocabulary,
    micro_batch: int,
    device: torch.device,
) -> dict[str, float]:
    """Measure a model on the held-out split.

    Args:
        model: of the spec's architecture.
        dataset: its validation split is read, and the most frequent words of its train split.
        spec: gives the architecture, the context length and ``evaluation.max_tokens``. A decoder
            guesses the next word and an encoder removed ones whatever the objective was, so that
            jobs can be compared.
        vocabulary: of the dataset's tokenizer.
        micro_batch: sequences at a time, fewer where their scores would fill the memory; every
            batch has the same shape.
        device: where the model is.

    Returns:
        ``validation/loss``, the mean in nats over all labels, and for a decoder
        ``validation/bits_per_byte``, for an encoder ``validation/masked_accuracy_top1`` and
        ``_top5`` at 15 % and ``validation/unigram_accuracy_top5``, the share that one gets by
        always guessing the five tokens that are most frequent among the words of the train split.
        Nothing if there is no held-out text.
    """
    if spec.model.architecture == "decoder":
        return _evaluate_decoder(
            _scores(
                model,
                _batches(dataset.validation, CausalObjective(), spec, vocabulary, micro_batch),
                device=device,
            ),
            vocabulary,
        )
    removed_at_15 = MaskedObjective(rate=EVALUATION_RATE)
    scores = _scores(
        model,
        _batches(dataset.validation, removed_at_15, spec, vocabulary, micro_batch),
        device=device,
    )
    return _evaluate_encoder(scores, most_frequent_words(dataset.train, vocabulary))


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """Every label that counts, and how the model did on it; all ``(N,)``."""

    labels: NDArray[np.int64]
    nats: NDArray[np.float64]
    ranks: NDArray[np.int64]
    """0: the model's first guess; ``NUM_GUESSES``: not among the first, or not asked (decoder)."""


def _evaluate_decoder(scores: _Scores, vocabulary: Vocabulary) -> dict[str, float]:
    values: dict[str, float] = {}
    if len(scores.labels):
        values["validation/loss"] = float(scores.nats.mean())
    is_text_N = ~vocabulary.is_special[scores.labels]
    num_bytes = int(vocabulary.num_bytes[scores.labels[is_text_N]].sum())
    if num_bytes:
        bits = float(scores.nats[is_text_N].sum()) / math.log(2)
        values["validation/bits_per_byte"] = bits / num_bytes
    return values


def _evaluate_encoder(scores: _Scores, frequent: NDArray[np.int64]) -> dict[str, float]:
    if not len(scores.labels):
        return {}
    return {
        "validation/loss": float(scores.nats.mean()),
        "validation/masked_accuracy_top1": float((scores.ranks == 0).mean()),
        "validation/masked_accuracy_top5": float((scores.ranks < NUM_GUESSES).mean()),
        "validation/unigram_accuracy_top5": float(np.isin(scores.labels, frequent).mean()),
    }


def most_frequent_words(split: TokenStream, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """The ids of the five most frequent tokens of words, in a sample of a million tokens.

    Punctuation does not compete: as words alone are removed, guessing a comma is always wrong, and
    the baseline would be too easy to beat.
    """
    length = min(_TOKENS_PER_BLOCK, split.num_tokens)
    starts = np.linspace(0, split.num_tokens - length, _SAMPLED_BLOCKS).astype(np.int64)
    if split.num_tokens <= _SAMPLED_BLOCKS * _TOKENS_PER_BLOCK:
        starts, length = np.zeros(1, dtype=np.int64), split.num_tokens
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    for start in starts.tolist():
        counts += np.bincount(split.read(start, length), minlength=vocabulary.size)
    counts[~vocabulary.holds_word_byte] = 0
    # stable, so that ties are decided by the id on every machine
    return np.argsort(-counts, kind="stable")[:NUM_GUESSES]


def _batches(
    split: TokenStream,
    objective: CausalObjective | MaskedObjective,
    spec: JobSpec,
    vocabulary: Vocabulary,
    micro_batch: int,
) -> Iterator[Samples]:
    """The held-out windows in order, ``micro_batch`` at a time, each label once."""
    context_length = spec.model.context_length
    remover = remover_for(objective, vocabulary=vocabulary, context_length=context_length)
    windows = TokenWindows(split, remover)
    num_windows = min(windows.count, max(1, spec.evaluation.max_tokens // context_length))
    scores_each = (remover.num_labels or context_length) * vocabulary.size
    size = min(micro_batch, num_windows, max(1, _MOST_SCORES // scores_each))
    for first in range(0, num_windows, max(1, size)):
        wanted_B = np.arange(first, first + size, dtype=np.int64)
        # the last batch is filled up with windows that do not count, so that its shape is the same
        windows_B = np.minimum(wanted_B, num_windows - 1)
        made = remover.remove(windows.read(windows_B), seed=EVALUATION_SEED, samples=windows_B)
        places_BL = windows.starts(windows_B)[:, None] + (
            np.arange(1, context_length + 1) if made.positions is None else made.positions
        )
        # the last window overlaps the one before it
        is_new_BL = places_BL > (windows_B * remover.stride)[:, None]
        counts_BL = made.loss_mask & is_new_BL & (wanted_B < num_windows)[:, None]
        yield Samples(made.input_ids, made.labels, made.positions, counts_BL)


@torch.no_grad()
def _scores(model: Scorer, batches: Iterator[Samples], *, device: torch.device) -> _Scores:
    """Ask the model about every batch."""
    parts = [_scores_of_batch(model, batch, device=device) for batch in batches]
    empty = _Scores(np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros(0, np.int64))
    return _Scores(
        labels=np.concatenate([part.labels for part in [empty, *parts]]),
        nats=np.concatenate([part.nats for part in [empty, *parts]]),
        ranks=np.concatenate([part.ranks for part in [empty, *parts]]),
    )


def _scores_of_batch(model: Scorer, batch: Samples, *, device: torch.device) -> _Scores:
    positions = None if batch.positions is None else torch.from_numpy(batch.positions).to(device)
    input_ids_BT = torch.from_numpy(np.ascontiguousarray(batch.input_ids)).to(device)
    labels_BL = torch.from_numpy(np.ascontiguousarray(batch.labels)).to(device)
    logits_BLV = model.logits(input_ids_BT, positions=positions)
    # one sequence at a time: the copy that the cross entropy makes would double the memory
    nats_BL = torch.stack(
        [
            functional.cross_entropy(logits_LV.float(), labels_L, reduction="none")
            for logits_LV, labels_L in zip(logits_BLV, labels_BL, strict=True)
        ]
    )
    ranks = (
        np.full(batch.labels.shape, NUM_GUESSES)
        if batch.positions is None
        else _ranks(logits_BLV, labels_BL).cpu().numpy()
    )
    return _Scores(
        labels=batch.labels[batch.loss_mask],
        nats=nats_BL.double().cpu().numpy()[batch.loss_mask],
        ranks=ranks[batch.loss_mask],
    )


def _ranks(logits_BLV: Tensor, labels_BL: Tensor) -> Tensor:
    """The place of each label among the first guesses; ``NUM_GUESSES`` if it is not there."""
    guesses = min(NUM_GUESSES, logits_BLV.shape[-1])
    # by index and not by score: a model that scores all tokens alike has not guessed right
    is_right = logits_BLV.topk(guesses, dim=-1).indices == labels_BL[..., None]
    return torch.where(is_right.any(dim=-1), is_right.int().argmax(dim=-1), NUM_GUESSES)
