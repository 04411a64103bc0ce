"""A whole job of the engine, small enough for a test: real text, a tiny model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pydoc_data import topics
from typing import Any, Literal

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from core.lifecycle import StopReason
from core.mixture import MixtureComponent
from core.objectives import CausalObjective, MaskedObjective
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
)
from corpora.dataset_writer import DatasetWriter
from corpora.vocabulary import SPECIAL_TOKENS
from tests.one_thread import one_thread  # noqa: F401 - a fixture for all tests here
from training.build import train
from training.checkpoint import verify_checkpoint
from training.execution import Execution
from training.ports import (
    Continuation,
    Filling,
    NeverStop,
    Phase,
    Plan,
    SavedCheckpoint,
    SilentReporter,
    StopSignal,
)

Architecture = Literal["decoder", "encoder"]
ARCHITECTURES: tuple[Architecture, ...] = ("decoder", "encoder")
NUM_STEPS = 12


@pytest.fixture(scope="module")
def one_core() -> Iterator[None]:
    """One thread: models this small only lose by sharing their work out."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python's own help texts: about 60 kB for training, 10 kB held out."""
    texts = [topics.topics[name] for name in sorted(topics.topics)][:24]
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=512,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    directory = tmp_path_factory.mktemp("dataset")
    writer = DatasetWriter(
        directory, corpus_digest="00" * 32, tokenizer_json=tokenizer.to_str().encode()
    )
    for index, text in enumerate(texts):
        split: Literal["train", "validation"] = "validation" if index % 6 == 0 else "train"
        writer.add(split, tokenizer.encode(text).ids, len(text.encode()))
    writer.close()
    return directory


@pytest.fixture(scope="module")
def other_dataset(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another corpus by the same tokenizer."""
    tokenizer_json = (dataset / "tokenizer.json").read_bytes()
    tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    directory = tmp_path_factory.mktemp("other")
    writer = DatasetWriter(directory, corpus_digest="11" * 32, tokenizer_json=tokenizer_json)
    for name in sorted(topics.topics)[26:28]:
        text = topics.topics[name]
        writer.add("train", tokenizer.encode(text).ids, len(text.encode()))
    text = topics.topics[sorted(topics.topics)[30]]
    writer.add("validation", tokenizer.encode(text).ids, len(text.encode()))
    writer.close()
    return directory


MIXTURE = (
    MixtureComponent(corpus="corpus", weight=3, digest="00" * 32),
    MixtureComponent(corpus="other", weight=1, digest="11" * 32),
)


SILENT = EvaluationSpec(every_steps=5, max_tokens=1024)
"""Asks the model for no words, which take as long as some ten of its steps."""


def make_spec(architecture: Architecture, **changes: Any) -> JobSpec:
    fields: dict[str, Any] = {
        "corpus": "corpus",
        "tokenizer": "tokenizer",
        "model": ModelShape(
            architecture=architecture, layers=2, width=32, heads=2, kv_heads=2, ffn_width=48,
            context_length=64, vocab_size=512,
        ),
        "objective": CausalObjective() if architecture == "decoder" else MaskedObjective(),
        "budget": Budget(steps=NUM_STEPS),
        "batch_tokens": 512,
        "seed": 1,
        "optimizer": OptimizerSpec(learning_rate=0.02),
        "evaluation": EvaluationSpec(
            every_steps=5,
            max_tokens=1024,
            prompts=("The import",) if architecture == "decoder" else (),
            blanks=("The ____ statement",) if architecture == "encoder" else (),
        ),
        "checkpoints": CheckpointSpec(every_steps=5),
    }  # fmt: skip
    return JobSpec(**{**fields, **changes})


@pytest.fixture(params=ARCHITECTURES)
def spec(request: pytest.FixtureRequest) -> JobSpec:
    return make_spec(request.param)


class Recorder(SilentReporter):
    """Remembers everything."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.values: dict[tuple[int, str], float] = {}
        self.probes: dict[int, tuple[Sequence[Continuation], Sequence[Filling]]] = {}
        self.saved: list[SavedCheckpoint] = []
        self.notices: list[str] = []
        self.phases: list[str] = []

    def phase(self, phase: Phase) -> None:
        self.phases.append(phase)

    def planned(self, plan: Plan) -> None:
        self.plans.append(plan)

    def metrics(self, *, step: int, tokens: int, values: Mapping[str, float]) -> None:
        assert tokens == step * 512
        for name, value in values.items():
            assert (step, name) not in self.values
            self.values[step, name] = value

    def probed(
        self, *, step: int, continuations: Sequence[Continuation], fillings: Sequence[Filling]
    ) -> None:
        self.probes[step] = (continuations, fillings)

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        self.saved.append(checkpoint)

    def notice(self, *, code: str, message: str, data: Mapping[str, Any]) -> None:
        del message, data
        self.notices.append(code)

    def deterministic(self) -> dict[tuple[int, str], float]:
        clocks = ("throughput/", "system/")
        return {key: v for key, v in self.values.items() if not key[1].startswith(clocks)}


class StopAfter:
    """Asks to stop once it was asked this many times."""

    def __init__(self, looks: int, reason: StopReason = StopReason.DRAIN) -> None:
        self._looks = looks
        self._reason = reason

    def requested(self) -> StopReason | None:
        self._looks -= 1
        return self._reason if self._looks < 0 else None


def run(
    spec: JobSpec,
    dataset: Path | Sequence[Path],
    out: Path,
    *,
    resume: Path | None = None,
    initial: Path | None = None,
    execution: Execution | None = None,
    fence: int = 1,
    stop: StopSignal | None = None,
    reporter: Recorder | None = None,
) -> StopReason | None:
    out.mkdir(exist_ok=True)
    return train(
        spec,
        datasets=[dataset] if isinstance(dataset, Path) else dataset,
        out=out,
        resume=resume,
        initial=initial,
        execution=execution,
        fence=fence,
        reporter=reporter or Recorder(),
        stop=stop or NeverStop(),
        provenance={"files": [{"filename": "topics.py", "sha256": "cd" * 32}]},
    )


def weights(checkpoint: Path) -> str:
    files = {file.name: file.sha256 for file in verify_checkpoint(checkpoint).files}
    return files["model.safetensors"] + files["training_state/optimizer.safetensors"]


def edit_checkpoint(path: Path, name: str, content: bytes) -> None:
    """Replace a file and make the manifest agree, as no accident would."""
    (path / name).write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["name"] == name:
            file.update({"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    (path / "manifest.json").write_text(json.dumps(manifest))
