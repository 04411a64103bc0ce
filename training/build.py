"""From a spec and a dataset to a running training loop: all wiring, in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor

from core.errors import BadData, CheckpointDamaged, Conflict
from core.lifecycle import StopReason
from core.sizing import flops_per_token, num_parameters
from core.spec import JobSpec
from corpora.shards import Dataset, open_dataset
from corpora.vocabulary import Vocabulary
from models.architectures import new_model
from models.huggingface import WEIGHTS_METADATA, WEIGHTS_NAME, hugging_face_files
from models.language_model import LanguageModel
from models.model_card import Sample, model_card
from training.checkpoint import (
    TensorFile,
    load_json,
    load_tensors,
    save_checkpoint,
    spec_digest,
    verify_checkpoint,
)
from training.evaluation import evaluate_corpora
from training.execution import Execution, keep_execution
from training.loader import Loader, Source
from training.loop import TrainingLoop
from training.optimizers import Optimizer, build_optimizer
from training.ports import Plan, Reporter, SavedCheckpoint, StopSignal
from training.probes import probe
from training.state import Samples, TrainingState
from training.telemetry import Stopwatch

_CARD_NAME: Final = "README.md"
_STATE_NAME: Final = "training_state/state.json"
_OPTIMIZER_NAME: Final = "training_state/optimizer.safetensors"
_RNG_PREFIX: Final = "rng."


def train(
    spec: JobSpec,
    *,
    datasets: Sequence[Path],
    out: Path,
    resume: Path | None,
    execution: Execution | None = None,
    fence: int,
    reporter: Reporter,
    stop: StopSignal,
    provenance: Mapping[str, Any],
) -> StopReason | None:
    """Train a model, or go on with it.

    Args:
        spec: What is asked for.
        datasets: The directories of the encoded corpora, in the order of the spec.
        out: Where checkpoints go; none is ever deleted.
        resume: The checkpoint to go on from, of the same spec; None: start with fresh weights.
        execution: How the job is to run, as its earlier attempts have settled it; comes before
            what ``resume`` says. A machine of another kind decides anew.
        fence: The number of the attempt, part of the checkpoints' names.
        reporter: Hears what happens.
        stop: Asks to stop; looked at once a step.
        provenance: Where the data came from, for the model card.

    Returns:
        None when the budget is spent; otherwise why it stopped. PAUSE and DRAIN have saved a
        checkpoint, CANCEL has not.

    Raises:
        BadData: a dataset is damaged, or does not fit the spec.
        CheckpointDamaged: ``resume`` is not whole.
        Conflict: ``resume`` belongs to another spec or dataset.
        InvalidRequest: this machine cannot do what the spec asks for.
        Diverged: the loss or its gradient is not finite.
    """
    reporter.phase("preparing" if resume is None else "recovering")
    data = _open_all(spec, datasets)
    tokenizer = Tokenizer.from_str(data.tokenizer_json.decode())
    vocabulary = _vocabulary_for(spec, tokenizer)
    state = _starting_state(spec, resume=resume, settled=execution, reporter=reporter)
    execution = state.execution
    execution.prepare()
    loader = Loader(
        data.sources(spec),
        objective=spec.objective,
        vocabulary=vocabulary,
        context_length=spec.model.context_length,
        sequences_per_step=spec.sequences_per_step,
        seed=spec.seed,
        budget=spec.budget,
    )
    model = new_model(spec.model, seed=spec.seed).to(execution.torch_device)
    model.compute_dtype = execution.compute_dtype
    optimizer = build_optimizer(model, spec.optimizer, precision=execution.compute_dtype)
    if resume is not None:
        _restore(resume, model=model, optimizer=optimizer, digests=data.digests)
    reporter.planned(_plan(spec, loader=loader, state=state))
    examiner = _Examiner(
        spec=spec,
        data=data,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        execution=execution,
        reporter=reporter,
    )
    saver = _Saver(
        spec=spec,
        data=data,
        out=out,
        fence=fence,
        model=model,
        optimizer=optimizer,
        provenance=provenance,
    )
    loop = TrainingLoop(
        spec,
        model=model,
        optimizer=optimizer,
        loader=loader,
        state=state,
        evaluate=examiner.evaluate,
        probe=examiner.probe,
        save=saver.save,
        reporter=reporter,
        stop=stop,
        stopwatch=Stopwatch(already_seconds=state.elapsed_seconds),
    )
    return loop.run()


@dataclass(frozen=True, slots=True)
class _Data:
    """The datasets of a job, by the id of their corpus, in the order of the spec."""

    by_corpus: Mapping[str, Dataset]

    @property
    def tokenizer_json(self) -> bytes:
        """The tokenizer that made them all."""
        return next(iter(self.by_corpus.values())).tokenizer_json

    @property
    def digests(self) -> list[str]:
        """What a checkpoint is tied to."""
        return [dataset.manifest.digest for dataset in self.by_corpus.values()]

    def sources(self, spec: JobSpec) -> list[Source]:
        """Where samples come from, and in which shares."""
        shares = spec.corpus_shares
        return [
            Source(corpus, shares[corpus], dataset.train)
            for corpus, dataset in self.by_corpus.items()
        ]


def _open_all(spec: JobSpec, directories: Sequence[Path]) -> _Data:
    """The datasets of the spec's corpora, if they are those, by one tokenizer."""
    corpora = list(spec.corpus_shares)
    if len(directories) != len(corpora):
        raise BadData(
            f"The spec names {len(corpora)} corpora, and {len(directories)} datasets are given.",
            param="corpus",
        )
    data = _Data(dict(zip(corpora, map(open_dataset, directories), strict=True)))
    manifests = [dataset.manifest for dataset in data.by_corpus.values()]
    if len({manifest.tokenizer_sha256 for manifest in manifests}) > 1:
        raise BadData("The datasets were made by different tokenizers.", param="tokenizer")
    settled = [] if isinstance(spec.corpus, str) else spec.corpus
    for part, manifest in zip(settled, manifests, strict=False):
        if part.digest != manifest.corpus_digest:
            raise BadData(f"The dataset of corpus {part.corpus} has another text.", param="corpus")
    return data


def _vocabulary_for(spec: JobSpec, tokenizer: Tokenizer) -> Vocabulary:
    """What the tokenizer's ids mean, if the model has a row for each of them."""
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    if vocabulary.size != spec.model.vocab_size:
        raise BadData(
            f"The dataset's tokenizer has {vocabulary.size} tokens, the model's embedding "
            f"{spec.model.vocab_size} rows.",
            param="model.vocab_size",
        )
    return vocabulary


def _starting_state(
    spec: JobSpec, *, resume: Path | None, settled: Execution | None, reporter: Reporter
) -> TrainingState:
    """Step 0, or where a whole checkpoint of this very spec stands."""
    earlier = [] if settled is None else [settled]
    if resume is None:
        return TrainingState(execution=keep_execution(earlier, spec=spec))
    manifest = verify_checkpoint(resume)
    if manifest.spec_sha256 != spec_digest(spec.model_dump(mode="json")):
        raise Conflict(f"{resume.name} was trained from another spec and cannot be resumed.")
    recorded = load_json(resume / _STATE_NAME)
    try:
        state = TrainingState.from_json(recorded["training"])
    except (KeyError, TypeError) as error:
        raise CheckpointDamaged(f"{resume.name}/{_STATE_NAME}: {error!r}") from None
    earlier.append(state.execution)
    kept = keep_execution(earlier, spec=spec)
    if kept not in earlier:
        reporter.notice(
            code="execution_changed",
            message="This machine differs from the one that began the job; the result will not "
            "be the same to the last bit.",
            data={"before": state.execution.to_json(), "now": kept.to_json()},
        )
    return replace(state, execution=kept)


def _restore(
    resume: Path, *, model: LanguageModel, optimizer: Optimizer, digests: list[str]
) -> None:
    """Load weights, optimizer and random generators of a verified checkpoint."""
    recorded = load_json(resume / _STATE_NAME)
    if recorded["dataset_digests"] != digests:
        raise Conflict(f"{resume.name} was trained on another dataset and cannot be resumed.")
    tensors = load_tensors(resume / _OPTIMIZER_NAME)
    try:
        model.load_state_dict(load_tensors(resume / WEIGHTS_NAME))
        optimizer.load_state(tensors)
    except (KeyError, RuntimeError) as error:
        raise CheckpointDamaged(f"{resume.name} does not hold this model: {error}") from None
    torch.set_rng_state(tensors[f"{_RNG_PREFIX}cpu"])
    if model.device.type == "cuda" and f"{_RNG_PREFIX}cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"{_RNG_PREFIX}cuda"])


def _plan(spec: JobSpec, *, loader: Loader, state: TrainingState) -> Plan:
    return Plan(
        num_steps=loader.num_steps,
        num_parameters=num_parameters(spec.model),
        tokens_per_step=spec.batch_tokens,
        flops_per_token=flops_per_token(spec.model),
        execution=state.execution.to_json(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examiner:
    """Finds out how good a model is, on held-out text and on the job's own questions."""

    spec: JobSpec
    data: _Data
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    execution: Execution
    reporter: Reporter

    def evaluate(self, model: LanguageModel) -> dict[str, float]:
        """See :func:`training.evaluation.evaluate_corpora`."""
        return evaluate_corpora(
            _Heard(model, self.reporter),
            datasets=self.data.by_corpus,
            spec=self.spec,
            vocabulary=self.vocabulary,
            micro_batch=self.execution.micro_batch,
            device=self.execution.torch_device,
        )

    def probe(self, model: LanguageModel) -> Samples:
        """See :func:`training.probes.probe`."""
        continuations, fillings = probe(
            _Heard(model, self.reporter),
            spec=self.spec,
            tokenizer=self.tokenizer,
            vocabulary=self.vocabulary,
            device=self.execution.torch_device,
        )
        return Samples(continuations, fillings)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A model that says whenever it is used: a long examination must not pass for a hang."""

    model: LanguageModel
    reporter: Reporter

    def logits(self, input_ids: Tensor, *, positions: Tensor | None) -> Tensor:
        """See :meth:`models.language_model.LanguageModel.logits`."""
        self.reporter.phase("evaluating")
        return self.model.logits(input_ids, positions=positions)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saver:
    """Writes everything that a checkpoint holds."""

    spec: JobSpec
    data: _Data
    out: Path
    fence: int
    model: LanguageModel
    optimizer: Optimizer
    provenance: Mapping[str, Any]

    def save(self, state: TrainingState) -> SavedCheckpoint:
        """A checkpoint of the model, the optimizer and ``state`` as they are now."""
        spec = self.spec.model_dump(mode="json")
        training = {"dataset_digests": self.data.digests, "training": state.to_json()}
        path = save_checkpoint(
            self.out,
            step=state.step,
            tokens=state.tokens,
            fence=self.fence,
            spec_sha256=spec_digest(spec),
            metrics=state.metrics,
            files={
                **hugging_face_files(self.spec.model, tokenizer_json=self.data.tokenizer_json),
                WEIGHTS_NAME: TensorFile(self.model.state_dict(), WEIGHTS_METADATA),
                _CARD_NAME: self._card(state).encode(),
                _OPTIMIZER_NAME: TensorFile({**self.optimizer.state(), **_rng_states()}, {}),
                _STATE_NAME: (json.dumps(training, indent=2) + "\n").encode(),
            },
        )
        return SavedCheckpoint(path, state.step, state.tokens, state.metrics)

    def _card(self, state: TrainingState) -> str:
        continued = [Sample(c.prompt, c.text) for c in state.samples.continuations]
        filled = [Sample(f.blank, f.text) for f in state.samples.fillings]
        return model_card(
            self.spec,
            step=state.step,
            tokens=state.tokens,
            metrics=state.metrics,
            samples=[*continued, *filled],
            provenance={
                "datasets": [
                    {"digest": one.manifest.digest, "corpus_digest": one.manifest.corpus_digest}
                    for one in self.data.by_corpus.values()
                ],
                **self.provenance,
            },
        )


def _rng_states() -> dict[str, Tensor]:
    states = {f"{_RNG_PREFIX}cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[f"{_RNG_PREFIX}cuda"] = torch.cuda.get_rng_state()
    return states
