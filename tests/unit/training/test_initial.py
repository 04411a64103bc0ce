"""A job whose model starts from the weights of another job's checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from pydoc_data import topics
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE

from core.errors import BadData, CheckpointDamaged
from core.job_request import JobRequest
from core.lifecycle import StopReason
from core.objectives import CausalObjective
from core.resolve import CheckpointFacts, CorpusFacts, resolve
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
    StartSpec,
)
from corpora.dataset_writer import DatasetWriter
from corpora.tokenizer_file import serialise
from corpora.vocabulary import SPECIAL_TOKENS, byte_alphabet
from models.architectures import new_model
from models.huggingface import load_model
from training.build import train
from training.checkpoint import verify_checkpoint
from training.initial import take_initial_weights
from training.ports import NeverStop, SavedCheckpoint, SilentReporter, StopSignal

pytestmark = pytest.mark.usefixtures("one_core")

SHAPE = ModelShape(
    architecture="decoder", layers=2, width=32, heads=2, kv_heads=1, ffn_width=48,
    context_length=64, vocab_size=320,
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of Python's help texts, a byte a token."""
    vocabulary = {token: id_ for id_, token in enumerate((*SPECIAL_TOKENS, *byte_alphabet()))}
    tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer_json = serialise(tokenizer)
    directory = tmp_path_factory.mktemp("dataset")
    writer = DatasetWriter(directory, corpus_digest="00" * 32, tokenizer_json=tokenizer_json)
    for index, name in enumerate(sorted(topics.topics)[:4]):
        text = topics.topics[name][:6000]
        split = "validation" if index == 0 else "train"
        writer.add(split, tokenizer.encode(text).ids, len(text.encode()))  # type: ignore[arg-type]
    writer.close()
    return directory


def make_spec(**changes: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "corpus": "corpus",
        "tokenizer": "tokenizer",
        "model": SHAPE,
        "objective": CausalObjective(),
        "budget": Budget(steps=4),
        "batch_tokens": 256,
        "optimizer": OptimizerSpec(learning_rate=0.01),
        "evaluation": EvaluationSpec(every_steps=4, max_tokens=512),
        "checkpoints": CheckpointSpec(every_steps=2),
    }
    return JobSpec(**{**fields, **changes})


class Keeper(SilentReporter):
    """Remembers what was saved."""

    def __init__(self) -> None:
        self.saved: list[SavedCheckpoint] = []

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        self.saved.append(checkpoint)


class StopAfterAStep:
    """Asks to stop at the second look."""

    def __init__(self) -> None:
        self._looked = False

    def requested(self) -> StopReason | None:
        reason = StopReason.DRAIN if self._looked else None
        self._looked = True
        return reason


def run(spec: JobSpec, dataset: Path, out: Path, **given: Any) -> Path:
    """The last checkpoint."""
    out.mkdir(exist_ok=True)
    keeper = Keeper()
    stop: StopSignal = given.pop("stop", NeverStop())
    train(
        spec,
        datasets=[dataset],
        out=out,
        resume=given.pop("resume", None),
        fence=given.pop("fence", 1),
        reporter=keeper,
        stop=stop,
        provenance={},
        **given,
    )
    return keeper.saved[-1].path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def first(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(make_spec(), dataset, tmp_path_factory.mktemp("first"))


@pytest.fixture
def continued(first: Path) -> JobSpec:
    """Twice the context, and everything else as it was."""
    request = JobRequest.model_validate(
        {"corpus": "corpus", "model": {"from": "ckpt_1", "context_length": 128},
         "budget": {"steps": 4}, "batch_tokens": 256}
    )  # fmt: skip
    start = CheckpointFacts("ckpt_1", digest(first / "model.safetensors"), SHAPE)
    facts = [CorpusFacts("corpus", "00" * 32, 10_000)]
    made = resolve(request, corpora=facts, tokenizer_id="t", vocab_size=320, start=start)
    return made.spec.model_copy(update={"checkpoints": CheckpointSpec(every_steps=2)})


def test_interrupted_continuation_ends_with_the_bits_of_an_undisturbed_one(
    continued: JobSpec, dataset: Path, first: Path, tmp_path: Path
) -> None:
    undisturbed = run(continued, dataset, tmp_path / "a", initial=first)
    again = run(continued, dataset, tmp_path / "b", initial=first, stop=StopAfterAStep())
    assert json.loads((again / "manifest.json").read_bytes())["step"] < 4
    resumed = run(continued, dataset, tmp_path / "b", resume=again, fence=2)
    name = "model.safetensors"
    assert digest(resumed / name) == digest(undisturbed / name)
    assert load_model(resumed).shape == continued.model
    assert verify_checkpoint(resumed).step == 4


def take(folder: Path | None, spec: JobSpec, *, tokenizer: Path | None = None) -> None:
    """Into a new model; ``tokenizer`` encoded the text."""
    take_initial_weights(
        new_model(SHAPE, seed=0),
        folder,
        spec=spec,
        tokenizer_json=b"{}" if tokenizer is None else tokenizer.read_bytes(),
    )


def test_a_model_begins_with_the_checkpoints_very_weights(continued: JobSpec, first: Path) -> None:
    model = new_model(continued.model, seed=5)
    tokenizer_json = (first / "tokenizer.json").read_bytes()
    take_initial_weights(model, first, spec=continued, tokenizer_json=tokenizer_json)
    stored = load_file(first / "model.safetensors")
    assert all(torch.equal(tensor, stored[name]) for name, tensor in model.state_dict().items())


def test_other_weights_than_the_spec_names_are_refused(first: Path) -> None:
    spec = make_spec(start=StartSpec(checkpoint="ckpt_1", weights_sha256="0" * 64))
    with pytest.raises(BadData, match="are not those that the spec starts from"):
        take(first, spec)


def test_weights_of_another_shape_are_refused_and_the_first_difference_named(
    tmp_path: Path,
) -> None:
    wider = SHAPE.model_copy(update={"ffn_width": 64})
    save_file(new_model(wider, seed=0).state_dict(), tmp_path / "model.safetensors")
    start = StartSpec(checkpoint="c", weights_sha256=digest(tmp_path / "model.safetensors"))
    with pytest.raises(BadData, match=r"another shape: 'model.*' is \(.*64.*\).*\(.*48.*\)"):
        take(tmp_path, make_spec(start=start))


def test_weights_that_learned_another_tokenizers_ids_are_refused(
    dataset: Path, first: Path, tmp_path: Path
) -> None:
    weights = digest(first / "model.safetensors")
    spec = make_spec(start=StartSpec(checkpoint="ckpt_1", weights_sha256=weights))
    take(first, spec, tokenizer=dataset / "tokenizer.json")
    tokenizer = json.loads((dataset / "tokenizer.json").read_bytes())
    ids = tokenizer["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    other = tmp_path / "tokenizer.json"
    other.write_text(json.dumps(tokenizer))
    with pytest.raises(BadData, match="another tokenizer") as caught:
        take(first, spec, tokenizer=other)
    assert caught.value.error_code == "tokenizer_does_not_match"


def test_a_folder_without_weights_is_damaged_and_none_at_all_is_asked_for(
    first: Path, tmp_path: Path
) -> None:
    spec = make_spec(start=StartSpec(checkpoint="ckpt_1", weights_sha256="0" * 64))
    with pytest.raises(CheckpointDamaged):
        take(tmp_path, spec)
    with pytest.raises(BadData, match="give its folder"):
        take(None, spec)
    with pytest.raises(BadData, match=digest(first / "model.safetensors")):
        take(first, make_spec())
