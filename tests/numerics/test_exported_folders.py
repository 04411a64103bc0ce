"""For every preset, architecture, objective and kind of tokenizer: ``transformers`` agrees."""

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from core.objectives import Architecture
from core.presets import PRESETS
from core.spec import Budget, ModelShape
from core.tokenizer_algorithms import TokenizerAlgorithm
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
from tests.tiny_text import documents, job_spec, tokenizer, write_dataset
from training.build import train
from training.checkpoint import TensorFile, save_checkpoint
from training.ports import NeverStop, SavedCheckpoint, SilentReporter

transformers = pytest.importorskip("transformers")

MOST_LAYERS = 4
"""Of models whose every layer would not fit a small machine's memory twice."""
OBJECTIVES: dict[str, Architecture] = {
    "causal": "decoder",
    "span_corruption": "decoder",
    "fill_in_the_middle": "decoder",
    "masked": "encoder",
}


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


@torch.no_grad()
def largest_difference(folder: Path, shape: ModelShape) -> float:
    """Between the logits of the folder's model and those of ``transformers``."""
    kind = (
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
    if name in {"medium", "large"}:
        shape = shape.model_copy(update={"layers": MOST_LAYERS})
    model = new_model(shape, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # no branch may stay at its zero
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    folder = export(tmp_path, model, tokenizer_json=tokenizer().to_str().encode())
    assert largest_difference(folder, shape) < 1e-4


@pytest.mark.exhaustive
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_transformers_gives_the_logits_of_what_every_objective_trained(
    objective: str, tmp_path: Path
) -> None:
    texts = list(documents())
    write_dataset(tmp_path / "dataset", train=texts[:30], validation=texts[30:32])
    spec = job_spec(OBJECTIVES[objective], objective=objective, context_length=128)
    spec = spec.model_copy(update={"budget": Budget(steps=5), "batch_tokens": 1024})
    (tmp_path / "out").mkdir()
    reporter = Keeping()
    train(
        spec,
        datasets=[tmp_path / "dataset"],
        out=tmp_path / "out",
        resume=None,
        fence=1,
        reporter=reporter,
        stop=NeverStop(),
        provenance={},
    )
    assert reporter.last is not None
    assert largest_difference(reporter.last, spec.model) < 1e-4


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
    ours, texts = Tokenizer.from_str(tokenizer_json.decode()), random_texts(num_texts)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    expected = [encoding.ids for encoding in ours.encode_batch(texts, add_special_tokens=False)]
    assert theirs(texts, add_special_tokens=False)["input_ids"] == expected
    if architecture == "encoder":
        framed = [[theirs.cls_token_id, *ids, theirs.sep_token_id] for ids in expected]
        assert theirs(texts)["input_ids"] == framed
