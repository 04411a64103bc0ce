"""For every preset, architecture, objective and kind of tokenizer: ``transformers`` agrees."""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from core.job_request import JobRequest
from core.objectives import Architecture
from core.presets import PRESETS
from core.resolve import CheckpointFacts, CorpusFacts, resolve
from core.spec import (
    Budget,
    CheckpointSpec,
    EvaluationSpec,
    JobSpec,
    ModelShape,
    OptimizerSpec,
)
from core.tokenizer_algorithms import TokenizerAlgorithm
from corpora.dataset_writer import DatasetWriter
from corpora.tokenizer_training import learn_tokenizer
from corpora.word_counts import WordCounter
from models.architectures import new_model
from models.huggingface import (
    WEIGHTS_METADATA,
    WEIGHTS_NAME,
    hugging_face_files,
    load_model,
)
from models.language_model import LanguageModel
from tests.tiny_text import documents, job_spec, tokenizer
from training.build import train
from training.checkpoint import TensorFile, save_checkpoint
from training.execution import Execution
from training.importing import import_folder
from training.ports import NeverStop, SavedCheckpoint, SilentReporter

MOST_LAYERS = 4
"""Of the one preset whose every layer would not fit a small machine's memory."""
MIX = [
    {"objective": "causal", "weight": 2},
    {"objective": {"type": "span_corruption", "rate": 0.3}},
    {"objective": {"type": "fill_in_the_middle", "document_mask": True}},
]
OBJECTIVES: dict[str, tuple[Architecture, Any]] = {
    "causal": ("decoder", "causal"),
    "span_corruption": ("decoder", "span_corruption"),
    "fill_in_the_middle": ("decoder", "fill_in_the_middle"),
    "masked": ("encoder", "masked"),
    "mix of a decoder": ("decoder", MIX),
    "mix of an encoder": ("encoder", ["masked", {"type": "masked", "replacement": "80-10-10"}]),
    "stages of a decoder": (
        "decoder",
        {"stages": [{"until": 0.4, "objective": "causal"}, {"objective": MIX}]},
    ),
    "stages of an encoder": (
        "encoder",
        {"stages": [{"until": 0.4, "objective": "causal"}, {"objective": "masked"}]},
    ),
}
ODD_SHAPES: dict[str, tuple[Architecture, dict[str, Any]]] = {
    "keys shared by three": ("decoder", {"width": 96, "heads": 6, "kv_heads": 2}),
    "keys shared by all": ("decoder", {"width": 64, "heads": 8, "kv_heads": 1}),
    "one layer, untied": ("decoder", {"layers": 1, "tie_embeddings": False}),
    "the narrowest heads": ("decoder", {"width": 24, "heads": 12, "kv_heads": 12}),
    "no round width": ("decoder", {"width": 42, "heads": 3, "kv_heads": 3, "ffn_width": 61}),
    "the shortest context": ("decoder", {"context_length": 16}),
    "heads wider than the model": ("decoder", {"head_width": 48}),
    "one layer": ("encoder", {"layers": 1}),
    "local layers last": ("encoder", {"layers": 6, "context_length": 300}),
    "no round width of an encoder": ("encoder", {"width": 42, "heads": 3, "ffn_width": 61}),
    "the shortest context of an encoder": ("encoder", {"context_length": 16}),
    "the narrowest heads of an encoder": ("encoder", {"width": 16, "heads": 8}),
}
STRANGERS: dict[str, str] = {
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "cls_token": "<s>",
    "sep_token": "<sep>",
}
"""What someone else calls the special tokens."""


class Keeping(SilentReporter):
    """Remembers where the last checkpoint is."""

    def __init__(self) -> None:
        self.last: Path | None = None

    def checkpoint_saved(self, checkpoint: SavedCheckpoint) -> None:
        self.last = checkpoint.path


def export(directory: Path, model: LanguageModel, *, tokenizer_json: bytes) -> Path:
    return save_checkpoint(
        directory,
        step=1,
        tokens=1,
        fence=1,
        spec_sha256="",
        metrics={},
        files={
            **hugging_face_files(model.shape, tokenizer_json=tokenizer_json),
            WEIGHTS_NAME: TensorFile(model.state_dict(), WEIGHTS_METADATA),
        },
    )


def strangers_model(architecture: Architecture, *, vocab_size: int) -> torch.nn.Module:
    """Freshly made by ``transformers``, in a shape of its own."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": vocab_size, "hidden_size": 48, "intermediate_size": 80,
        "num_hidden_layers": 4, "num_attention_heads": 4, "max_position_embeddings": 192,
    }  # fmt: skip
    if architecture == "decoder":
        config = transformers.Qwen3Config(
            **shape, num_key_value_heads=2, head_dim=24, tie_word_embeddings=False,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        )  # fmt: skip
        return transformers.Qwen3ForCausalLM(config)
    ids: dict[str, Any] = {f"{role}_id": 0 for role in STRANGERS}
    return transformers.ModernBertForMaskedLM(transformers.ModernBertConfig(**shape, **ids))


def strangers_tokenizer() -> Tokenizer:
    """Byte-level BPE with special tokens of other names, in other places."""
    made = Tokenizer(BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=700,
        special_tokens=list(STRANGERS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(documents()[:8], trainer)
    return made


def dataset_by(tokenizer: Tokenizer, directory: Path) -> Path:
    """A little text as tokens."""
    with DatasetWriter(
        directory, corpus_digest="c" * 64, tokenizer_json=tokenizer.to_str().encode()
    ) as writer:
        for number, text in enumerate(documents()[:32]):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            writer.add("validation" if number > 29 else "train", ids, len(text.encode()))
    return directory


def trained(spec: JobSpec, dataset: Path, out: Path, *, initial: Path | None = None) -> Path:
    """The last checkpoint of five steps that move every weight."""
    out.mkdir()
    reporter = Keeping()
    train(
        spec.model_copy(
            update={
                "budget": Budget(steps=5),
                "batch_tokens": 8 * spec.model.context_length,
                "optimizer": OptimizerSpec(learning_rate=0.02),
                "evaluation": EvaluationSpec(every_steps=5, max_tokens=1024),
                "checkpoints": CheckpointSpec(every_steps=5),
            }
        ),
        datasets=[dataset],
        out=out,
        resume=None,
        initial=initial,
        execution=Execution("cpu", "fp32", micro_batch=8, threads=1),
        fence=1,
        reporter=reporter,
        stop=NeverStop(),
        provenance={},
    )
    assert reporter.last is not None
    return reporter.last


def continued(folder: Path, shape: ModelShape, *, context_length: int) -> JobSpec:
    """The spec of a job that goes on from a checkpoint, as the service makes it."""
    weights = (folder / WEIGHTS_NAME).read_bytes()
    request = JobRequest.model_validate(
        {
            "corpus": "corpus_1",
            "model": {"from": "ckpt_1", "context_length": context_length},
            "objective": "causal" if shape.architecture == "decoder" else "masked",
            "batch_tokens": 8 * context_length,
            "budget": {"steps": 5},
        }
    )
    return resolve(
        request,
        corpora=[CorpusFacts("corpus_1", digest="c" * 64, train_tokens=10**5)],
        tokenizer_id="tokenizer_1",
        vocab_size=shape.vocab_size,
        start=CheckpointFacts("ckpt_1", hashlib.sha256(weights).hexdigest(), shape),
    ).spec


def assert_same_ids(
    folder: Path, shape: ModelShape, *, ours: Tokenizer, texts: Sequence[str]
) -> None:
    """``transformers`` splits texts as our tokenizer does, and frames them for an encoder."""
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    expected = [encoding.ids for encoding in ours.encode_batch(texts, add_special_tokens=False)]
    assert theirs(texts, add_special_tokens=False)["input_ids"] == expected
    if shape.architecture == "encoder":
        expected = [[theirs.cls_token_id, *ids, theirs.sep_token_id] for ids in expected]
    assert theirs(texts)["input_ids"] == expected


@torch.no_grad()
def largest_difference(folder: Path, shape: ModelShape) -> float:
    """Between the logits of the folder's model and those of ``transformers``."""
    kind: Any = (  # what it gives depends on an argument
        transformers.AutoModelForCausalLM
        if shape.architecture == "decoder"
        else transformers.AutoModelForMaskedLM
    )
    theirs, problems = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(problems.values()), problems
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, shape.vocab_size, (1, shape.context_length), generator=generator)
    expected = theirs.eval()(input_ids=ids).logits
    del theirs
    return float((expected - load_model(folder).logits(ids)).abs().max())


def shaken(model: LanguageModel) -> LanguageModel:
    """With something everywhere: no branch may stay at its zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    return model


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("architecture", "name"),
    [(architecture, name) for architecture, presets in PRESETS.items() for name in presets],
)
def test_transformers_gives_the_logits_of_every_preset(
    architecture: Architecture, name: str, tmp_path: Path
) -> None:
    preset = PRESETS[architecture][name]
    shape = preset.shape(vocab_size=tokenizer().get_vocab_size())
    if name == "large":
        shape = shape.model_copy(update={"layers": MOST_LAYERS})
    model = shaken(new_model(shape, seed=0))
    folder = export(tmp_path, model, tokenizer_json=tokenizer().to_str().encode())
    del model
    assert largest_difference(folder, shape) < 1e-4


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ODD_SHAPES)
def test_transformers_gives_the_logits_of_odd_shapes(kind: str, tmp_path: Path) -> None:
    architecture, changes = ODD_SHAPES[kind]
    usual: dict[str, Any] = {
        "layers": 3, "width": 32, "heads": 2, "kv_heads": changes.get("heads", 2),
        "ffn_width": 48, "context_length": 64, "vocab_size": tokenizer().get_vocab_size(),
    }  # fmt: skip
    shape = ModelShape(architecture=architecture, **{**usual, **changes})
    model = shaken(new_model(shape, seed=0))
    folder = export(tmp_path, model, tokenizer_json=tokenizer().to_str().encode())
    assert largest_difference(folder, shape) < 1e-4


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", OBJECTIVES)
def test_transformers_gives_the_logits_of_what_every_objective_trained(
    name: str, tmp_path: Path
) -> None:
    architecture, objective = OBJECTIVES[name]
    spec = job_spec(architecture, objective=objective, context_length=128)
    folder = trained(spec, dataset_by(tokenizer(), tmp_path / "dataset"), tmp_path / "out")
    assert largest_difference(folder, spec.model) < 1e-4
    assert_same_ids(folder, spec.model, ours=tokenizer(), texts=random_texts(200))


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", PRESETS)
def test_transformers_gives_the_logits_of_a_model_whose_context_has_grown(
    architecture: Architecture, tmp_path: Path
) -> None:
    spec = job_spec(architecture)
    dataset = dataset_by(tokenizer(), tmp_path / "dataset")
    first = trained(spec, dataset, tmp_path / "first")
    longer = continued(first, spec.model, context_length=8 * spec.model.context_length)
    assert longer.model.rotary_base > spec.model.rotary_base
    folder = trained(longer, dataset, tmp_path / "second", initial=first)
    assert largest_difference(folder, longer.model) < 1e-4
    assert_same_ids(folder, longer.model, ours=tokenizer(), texts=random_texts(200))


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", PRESETS)
def test_transformers_gives_the_logits_of_an_uploaded_model_that_was_trained_on(
    architecture: Architecture, tmp_path: Path
) -> None:
    strangers, theirs = strangers_tokenizer(), tmp_path / "theirs"
    model = strangers_model(architecture, vocab_size=strangers.get_vocab_size())
    model.save_pretrained(theirs)  # type: ignore[operator]
    strangers.save(str(theirs / "tokenizer.json"))
    (theirs / "tokenizer_config.json").write_text(json.dumps(STRANGERS))
    (tmp_path / "imported").mkdir()
    made = import_folder(
        {path.name: path for path in theirs.iterdir()}, out=tmp_path / "imported", fence=1
    )
    ours = Tokenizer.from_str(made.tokenizer.json.decode())
    spec = continued(made.checkpoint, made.shape, context_length=made.shape.context_length)
    dataset = dataset_by(ours, tmp_path / "dataset")
    folder = trained(spec, dataset, tmp_path / "out", initial=made.checkpoint)
    moved = load_model(folder).input_table - load_model(made.checkpoint).input_table
    assert moved.abs().max() > 0
    assert largest_difference(folder, spec.model) < 1e-4
    texts = random_texts(200)
    assert_same_ids(folder, spec.model, ours=ours, texts=texts)
    again = transformers.AutoTokenizer.from_pretrained(folder)
    for text in texts:
        tokens = strangers.encode(text, add_special_tokens=False).tokens
        assert again.tokenize(text) == tokens


def random_texts(number: int) -> list[str]:
    """Of letters, of two bytes, of the basic plane and of everything."""
    generator = random.Random(7)
    planes = (0x7F, 0x7F, 0x2FF, 0xFFFF, 0x10FFFF)
    texts = []
    for _ in range(number):
        length = generator.randint(0, 24)
        codes = (generator.randint(1, generator.choice(planes)) for _ in range(length))
        texts.append("".join(chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF))
    return texts


@pytest.mark.parametrize("num_texts", [500, pytest.param(10_000, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "wordpiece"])
@pytest.mark.parametrize("architecture", ["decoder", "encoder"])
def test_transformers_gives_the_ids_of_random_unicode(
    architecture: Architecture, algorithm: TokenizerAlgorithm, num_texts: int, tmp_path: Path
) -> None:
    counter = WordCounter()
    for text in documents()[:8]:
        counter.add(text)
    tokenizer_json, vocab_size = learn_tokenizer(
        counter.counts(), algorithm=algorithm, vocab_size=512
    )
    shape = job_spec(architecture).model.model_copy(update={"vocab_size": vocab_size})
    folder = export(tmp_path, new_model(shape, seed=0), tokenizer_json=tokenizer_json)
    ours = Tokenizer.from_str(tokenizer_json.decode())
    assert_same_ids(folder, shape, ours=ours, texts=random_texts(num_texts))
