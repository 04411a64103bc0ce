"""The examiner of a job: how good its model is, on held-out text and on the job's own questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tokenizers import Tokenizer
from torch import Tensor

from core.spec import JobSpec
from corpora.vocabulary import Vocabulary
from models.language_model import LanguageModel
from training.data import JobData
from training.evaluation import evaluate_corpora, over_corpora
from training.execution import Execution
from training.memorization import can_be_measured, memorization_rate
from training.ports import Reporter
from training.probes import probe
from training.state import Answers

_TOKENS_FOR_A_FRESH_MODEL: Final = 8192
"""It guesses blindly, on any text alike, and its first step need not wait for more."""
_MEMORIZATION_RATE: Final = "validation/memorization_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examiner:
    """Finds out how good a model is, and lets the reporter hear that it is at it."""

    spec: JobSpec
    data: JobData
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    execution: Execution
    reporter: Reporter

    def evaluate(self, model: LanguageModel, *, step: int) -> dict[str, float]:
        """See :func:`training.evaluation.evaluate_corpora`; a fresh model is asked less."""
        spec = self.spec
        if step == 0 and spec.start is None:
            enough = min(_TOKENS_FOR_A_FRESH_MODEL, spec.evaluation.max_tokens)
            evaluation = spec.evaluation.model_copy(update={"max_tokens": enough})
            spec = spec.model_copy(update={"evaluation": evaluation})
        return evaluate_corpora(
            _Heard(model, self.reporter),
            datasets=self.data.by_corpus,
            spec=spec,
            vocabulary=self.vocabulary,
            micro_batch=self.execution.micro_batch,
            device=self.execution.torch_device,
        )

    def probe(self, model: LanguageModel) -> Answers:
        """See :func:`training.probes.probe`."""
        continuations, fillings = probe(
            _Heard(model, self.reporter),
            spec=self.spec,
            tokenizer=self.tokenizer,
            vocabulary=self.vocabulary,
            device=self.execution.torch_device,
        )
        return Answers(continuations, fillings)

    def memorized(self, model: LanguageModel) -> dict[str, float]:
        """``validation/memorization_rate`` of a decoder; an encoder says no text."""
        shape = self.spec.model
        if shape.architecture != "decoder" or not can_be_measured(
            context_length=shape.context_length
        ):
            return {}
        heard, device = _Heard(model, self.reporter), self.execution.torch_device
        rates = {
            corpus: memorization_rate(heard, dataset.train, device=device)
            for corpus, dataset in self.data.by_corpus.items()
        }
        return over_corpora(
            {
                corpus: {} if rate is None else {_MEMORIZATION_RATE: rate}
                for corpus, rate in rates.items()
            },
            shares=self.spec.corpus_shares,
        )


@dataclass(frozen=True, slots=True)
class _Heard:
    """A model that says whenever it is used: a long examination must not pass for a hang."""

    model: LanguageModel
    reporter: Reporter

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        """See :meth:`models.language_model.LanguageModel.logits`."""
        self.reporter.phase("evaluating")
        return self.model.logits(input_ids, positions=positions)
