"""A checkpoint's folder loads in ``transformers`` and gives the same numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from core.sizing import num_parameters
from core.spec import ModelShape
from corpora.vocabulary import SPECIAL_TOKENS
from models.architectures import empty_model, new_model
from models.huggingface import (
    WEIGHTS_METADATA,
    WEIGHTS_NAME,
    hugging_face_files,
    load_model,
    shape_of_config,
)
from models.language_model import LanguageModel
from training.checkpoint import TensorFile, save_checkpoint

TEXTS = [
    "The cat sat on the mat, didn't it?",
    " two  spaces\nand\ta tab",
    "naïve café 東京 🙂 1234",
]


@pytest.fixture(scope="module")
def tokenizer_json() -> bytes:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=384,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 20, trainer)
    return tokenizer.to_str().encode()


KINDS = [
    "decoder",
    "decoder with an output of its own",
    "encoder",
    "decoder of a longer context",
    "encoder of a longer context",
    "decoder with wide heads",
]


@pytest.fixture(params=KINDS)
def shape(request: pytest.FixtureRequest, tokenizer_json: bytes) -> ModelShape:
    kind = request.param
    architecture, _, variant = kind.partition(" ")
    return ModelShape(
        architecture="encoder" if architecture == "encoder" else "decoder",
        layers=4,
        width=64,
        heads=4,
        kv_heads=4 if architecture == "encoder" else 2,
        ffn_width=96,
        context_length=256,
        vocab_size=Tokenizer.from_str(tokenizer_json.decode()).get_vocab_size(),
        tie_embeddings=variant != "with an output of its own",
        rope_theta=654_321.0 if variant == "of a longer context" else None,
        head_width=24 if variant == "with wide heads" else None,
    )


@pytest.fixture
def model(shape: ModelShape) -> LanguageModel:
    model = new_model(shape, seed=0)
    with torch.no_grad():  # no branch may stay at its zero
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


@pytest.fixture
def folder(tmp_path: Path, model: LanguageModel, tokenizer_json: bytes) -> Path:
    return save_checkpoint(
        tmp_path,
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


def load_in_transformers(folder: Path, shape: ModelShape) -> torch.nn.Module:
    kind: Any = (  # what it gives depends on an argument
        transformers.AutoModelForCausalLM
        if shape.architecture == "decoder"
        else transformers.AutoModelForMaskedLM
    )
    loaded, problems = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(problems.values()), problems
    return loaded.eval()  # type: ignore[no-any-return]


@torch.no_grad()
def test_transformers_gives_the_same_logits(folder: Path, model: LanguageModel) -> None:
    theirs = load_in_transformers(folder, model.shape)
    assert next(theirs.parameters()).dtype == torch.float32
    ids = torch.randint(0, model.shape.vocab_size, (2, 200))  # wider than the local window
    difference = (theirs(input_ids=ids).logits - model.logits(ids)).abs().max()
    assert difference < 1e-4


@pytest.mark.parametrize("shape", KINDS[3:5], indirect=True)
def test_transformers_turns_by_the_raised_base(folder: Path, model: LanguageModel) -> None:
    """Were it left out of the config, the logits would be those of the usual base."""
    usual = empty_model(model.shape.model_copy(update={"rope_theta": None}))
    usual.load_state_dict(model.state_dict())
    theirs = load_in_transformers(folder, model.shape)
    ids = torch.randint(0, model.shape.vocab_size, (1, model.shape.context_length))
    with torch.no_grad():
        assert (theirs(input_ids=ids).logits - usual.logits(ids)).abs().max() > 1e-2


def test_transformers_counts_the_same_parameters(folder: Path, model: LanguageModel) -> None:
    theirs = load_in_transformers(folder, model.shape)
    ours = sum(p.numel() for p in model.parameters())
    assert sum(p.numel() for p in theirs.parameters()) == ours == num_parameters(model.shape)


@torch.no_grad()
def test_our_own_loader_gives_the_same_logits(folder: Path, model: LanguageModel) -> None:
    ids = torch.randint(0, model.shape.vocab_size, (2, 100))
    assert torch.equal(load_model(folder).logits(ids), model.logits(ids))


def test_the_config_tells_the_shape(folder: Path, shape: ModelShape) -> None:
    assert shape_of_config(json.loads((folder / "config.json").read_bytes())) == shape


def test_transformers_tokenizes_as_the_corpus_was(
    folder: Path, shape: ModelShape, tokenizer_json: bytes
) -> None:
    ours = Tokenizer.from_str(tokenizer_json.decode())
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = ours.encode(text).ids
        framed = [3, *ids, 4] if shape.architecture == "encoder" else ids
        assert theirs(text)["input_ids"] == framed
        assert theirs.decode(theirs(text)["input_ids"], skip_special_tokens=True) == text
    assert theirs.model_max_length == shape.context_length
    assert theirs.pad_token_id == 1


def test_the_roles_of_special_tokens_are_known(folder: Path, shape: ModelShape) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if shape.architecture == "encoder":
        known = (tokenizer.mask_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert known == (2, 3, 4)
        pair = tokenizer("cat", "mat")["input_ids"]
        assert (pair[0], pair[-1], pair.count(4)) == (3, 4, 2)
    else:
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 0)


@pytest.mark.parametrize("shape", ["encoder"], indirect=True)
def test_an_encoders_mask_stands_for_a_word_with_its_space(folder: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with_word = tokenizer("The cat sat on")["input_ids"]
    cat = tokenizer(" cat", add_special_tokens=False)["input_ids"]
    assert len(cat) == 1
    masked = tokenizer("The [MASK] sat on")["input_ids"]
    assert masked == [2 if token == cat[0] else token for token in with_word]
