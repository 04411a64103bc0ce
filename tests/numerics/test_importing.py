"""Folders saved by ``transformers`` become checkpoints of ours that compute the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from core.errors import BadData
from models.huggingface import load_model
from training.checkpoint import verify_checkpoint
from training.importing import ImportedFolder, import_folder

ROWS = 400
SPECIALS = ["<pad>", "<s>", "</s>", "[MASK]", "[CLS]", "[SEP]"]
TEXT = "The cat sat on the mat, didn't it? naïve 東京 🙂 1234\n\n two  spaces"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small only lose by sharing their work out."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A stranger's: other special tokens, in other places."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=330,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 20, trainer)
    return tokenizer


def qwen3(*, tied: bool, theta: float = 10_000.0) -> torch.nn.Module:
    config = transformers.Qwen3Config(
        vocab_size=ROWS, hidden_size=48, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, max_position_embeddings=128,
        tie_word_embeddings=tied, rope_parameters={"rope_type": "default", "rope_theta": theta},
    )  # fmt: skip
    return transformers.Qwen3ForCausalLM(config)


def modernbert() -> torch.nn.Module:
    config = transformers.ModernBertConfig(
        vocab_size=ROWS, hidden_size=48, intermediate_size=64, num_hidden_layers=4,
        num_attention_heads=4, max_position_embeddings=256, pad_token_id=0, bos_token_id=4,
        cls_token_id=4, eos_token_id=5, sep_token_id=5,
    )  # fmt: skip
    return transformers.ModernBertForMaskedLM(config)


def saved(
    model: torch.nn.Module, tokenizer: Tokenizer, directory: Path, **options: Any
) -> dict[str, Path]:
    """The files of a model, with random weights, and its tokenizer."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model.save_pretrained(directory, **options)  # type: ignore[operator]
    tokenizer.save(str(directory / "tokenizer.json"))
    roles = {"eos_token": "</s>", "pad_token": {"content": "<pad>", "lstrip": False}}
    (directory / "tokenizer_config.json").write_text(json.dumps(roles))
    return {path.name: path for path in directory.iterdir()}


def imported(files: dict[str, Path], tmp_path: Path) -> ImportedFolder:
    out = tmp_path / "out"
    out.mkdir()
    return import_folder(files, out=out, fence=1)


KINDS: dict[str, tuple[Callable[[], torch.nn.Module], dict[str, Any]]] = {
    "tied": (lambda: qwen3(tied=True), {}),
    "untied with another base": (lambda: qwen3(tied=False, theta=1e6), {}),
    "encoder in shards": (modernbert, {"max_shard_size": "50KB"}),
}


@torch.no_grad()
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("tied", marks=pytest.mark.exhaustive),
        "untied with another base",
        "encoder in shards",
    ],
)
def test_the_same_text_gets_the_same_logits(
    kind: str, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    make, options = KINDS[kind]
    theirs = make().eval()
    files = saved(theirs, tokenizer, tmp_path / "theirs", **options)
    made = imported(files, tmp_path)
    verify_checkpoint(made.checkpoint)
    ours = load_model(made.checkpoint)
    renumbered = Tokenizer.from_str(made.tokenizer.json.decode())
    before, after = tokenizer.encode(TEXT), renumbered.encode(TEXT)
    assert before.tokens == after.tokens
    old_logits = theirs(input_ids=torch.tensor([before.ids])).logits[0]
    new_logits = ours.logits(torch.tensor([after.ids]))[0]
    pairs = {
        id_: tokenizer.token_to_id(token)
        for token, id_ in renumbered.get_vocab().items()
        if token not in SPECIALS and tokenizer.token_to_id(token) is not None
    }
    pairs[0] = tokenizer.token_to_id("</s>")
    pairs[1] = tokenizer.token_to_id("<pad>")
    difference = new_logits[:, list(pairs)] - old_logits[:, list(pairs.values())]
    assert difference.abs().max() < 1e-4
    kind_of = "MaskedLM" if kind.startswith("encoder") else "CausalLM"
    again = getattr(transformers, f"AutoModelFor{kind_of}").from_pretrained(made.checkpoint)
    theirs_again = again.eval()(input_ids=torch.tensor([after.ids])).logits[0]
    assert (theirs_again - new_logits).abs().max() < 1e-4


def test_half_precision_becomes_full_and_what_is_no_number_is_refused(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    files = saved(qwen3(tied=True).to(torch.bfloat16), tokenizer, tmp_path / "theirs")
    made = imported(files, tmp_path)
    name = "model.layers.1.mlp.up_proj.weight"
    stored, taken = load_file(files["model.safetensors"]), made.checkpoint / "model.safetensors"
    assert stored[name].dtype == torch.bfloat16
    assert torch.equal(load_file(taken)[name], stored[name].float())
    stored[name][3, 3] = torch.nan
    save_file(stored, files["model.safetensors"])
    with pytest.raises(BadData, match="what is no number") as caught:
        import_folder(files, out=tmp_path / "out", fence=2)
    assert caught.value.error_code == "weights_not_finite"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [made.checkpoint.name]


def test_tokenizers_that_do_not_belong_to_the_model_are_refused(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    files = saved(modernbert(), tokenizer, tmp_path / "theirs")
    larger = tokenizer.from_str(tokenizer.to_str())
    larger.add_tokens([f"new{number}" for number in range(ROWS)])
    nameless = json.loads(tokenizer.to_str())
    for token in nameless["added_tokens"]:
        if token["content"] == "[MASK]":
            token["content"] = "<hole>"
    nameless["model"]["vocab"]["<hole>"] = nameless["model"]["vocab"].pop("[MASK]")
    for text, code in (
        (larger.to_str(), "tokenizer_does_not_match"),
        (json.dumps(nameless), "special_token_missing"),
    ):
        files["tokenizer.json"].write_text(text)
        (tmp_path / "out").mkdir(exist_ok=True)
        with pytest.raises(BadData) as caught:
            import_folder(files, out=tmp_path / "out", fence=1)
        assert caught.value.error_code == code
        assert not list((tmp_path / "out").iterdir())
