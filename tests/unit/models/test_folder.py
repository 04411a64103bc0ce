"""Uploaded folders, by their descriptions alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from safetensors.torch import save

from core.errors import BadData
from core.spec import ModelShape
from models import config_file, decoder, encoder
from models.architectures import empty_model
from models.folder import FolderPlan, WeightsFile, plan_folder
from models.huggingface import model_config
from models.tensor_shapes import tensor_shapes
from models.token_roles import read_roles

SPECIALS = {"<|endoftext|>": 0, "<|pad|>": 1, "[MASK]": 2, "[CLS]": 3, "[SEP]": 4}
DECODER = ModelShape(
    architecture="decoder", layers=2, width=32, heads=2, kv_heads=1, ffn_width=48,
    context_length=64, vocab_size=100,
)  # fmt: skip
SHAPES = [
    DECODER,
    DECODER.model_copy(update={"tie_embeddings": False, "head_width": 24, "rope_theta": 1e6}),
    ModelShape(
        architecture="encoder", layers=4, width=32, heads=2, kv_heads=2, ffn_width=48,
        context_length=64, vocab_size=100, rope_theta=1e5,
    ),
]  # fmt: skip


@cache
def weights_of(shape: ModelShape) -> bytes:
    return save(dict(empty_model(shape).state_dict()), {"format": "pt"})


def described(data: bytes) -> WeightsFile:
    (length,) = struct.unpack("<Q", data[:8])
    return WeightsFile(header=data[8 : 8 + length], num_bytes=len(data))


def config_of(shape: ModelShape, **changes: Any) -> bytes:
    return json.dumps({**model_config(shape, special_ids=SPECIALS), **changes}).encode()


def plan(
    shape: ModelShape, *, config: bytes | None = None, data: bytes | None = None
) -> FolderPlan:
    return plan_folder(
        config=config or config_of(shape),
        index=None,
        weights={"model.safetensors": described(data or weights_of(shape))},
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_what_we_export_is_understood(shape: ModelShape) -> None:
    found = plan(shape)
    assert found.shape == shape
    assert set(found.tensors) == set(empty_model(shape).state_dict())


@pytest.mark.parametrize("shape", SHAPES)
def test_tensors_are_known_without_a_model(shape: ModelShape) -> None:
    state = empty_model(shape).state_dict()
    assert tensor_shapes(shape) == {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_what_is_computed_in_one_way_only_is_the_same_as_in_the_models() -> None:
    assert config_file.RMS_NORM_EPS == decoder.RMS_NORM_EPS
    assert config_file.NORM_EPS == encoder.NORM_EPS


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model_type": "llama"}, "architecture_not_supported"),
        ({"model_type": "bert"}, "architecture_not_supported"),
        ({"model_type": ["qwen3"]}, "architecture_not_supported"),
        ({"hidden_act": "relu"}, "config_not_supported"),
        ({"rms_norm_eps": 1e-5}, "config_not_supported"),
        ({"attention_bias": True}, "config_not_supported"),
        ({"use_sliding_window": True}, "config_not_supported"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "config_not_supported"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "config_not_supported"),
        ({"num_hidden_layers": 10**9}, "config_not_supported"),
        ({"num_hidden_layers": "2"}, "config_not_supported"),
        ({"num_attention_heads": 0}, "config_not_supported"),
        ({"hidden_size": -32}, "config_not_supported"),
        ({"max_position_embeddings": 10**7}, "config_not_supported"),
        ({"vocab_size": 200}, "weights_do_not_match"),
        ({"num_hidden_layers": 3}, "weights_missing"),
        ({"num_hidden_layers": 1}, "weights_do_not_match"),
        ({"tie_word_embeddings": False}, "weights_missing"),
    ],
)
def test_a_config_of_another_model_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(BadData) as caught:
        plan(DECODER, config=config_of(DECODER, **changes))
    assert caught.value.error_code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"local_attention": 64},
        {"global_attn_every_n_layers": 2},
        {"norm_bias": True},
        {"decoder_bias": False},
        {"tie_word_embeddings": False},
        {"rope_parameters": None, "local_rope_theta": 160_000.0},
    ],
)
def test_an_encoder_that_is_computed_otherwise_is_refused(changes: dict[str, Any]) -> None:
    shape = SHAPES[2]
    with pytest.raises(BadData) as caught:
        plan(shape, config=config_of(shape, **changes))
    assert caught.value.error_code == "config_not_supported"


@pytest.mark.parametrize("config", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'"qwen3"', b"null"])
def test_a_config_that_is_none_is_refused(config: bytes) -> None:
    with pytest.raises(BadData) as caught:
        plan_folder(config=config, index=None, weights={})
    assert caught.value.error_code in {"config_damaged", "architecture_not_supported"}


def test_an_older_config_names_its_base_beside_the_rest() -> None:
    changes = {"rope_parameters": None, "rope_theta": 1_000_000.0}
    assert plan(DECODER, config=config_of(DECODER, **changes)).shape.rotary_base == 1_000_000.0


def test_a_tied_output_may_be_stored_once_more() -> None:
    state = dict(empty_model(DECODER).state_dict())
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    assert "lm_head.weight" not in plan(DECODER, data=save(state)).tensors


def with_entry(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The weights of the decoder with a changed header, of a length that fits."""
    data = weights_of(DECODER)
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda h: h["model.norm.weight"].update(dtype="I64"), "weights_not_supported"),
        (lambda h: h["model.norm.weight"].update(dtype="F64"), "weights_not_supported"),
        (lambda h: h["model.norm.weight"].update(shape=[31]), "weights_damaged"),
        (lambda h: h["model.norm.weight"].update(shape=[True, 32]), "weights_damaged"),
        (lambda h: h["model.norm.weight"].update(data_offsets=[0, 128]), "weights_damaged"),
        (lambda h: h["model.norm.weight"].update(data_offsets=[-128, 0]), "weights_damaged"),
        (lambda h: h["model.norm.weight"].pop("shape"), "weights_damaged"),
        (lambda h: h.pop("model.norm.weight"), "weights_damaged"),
        (lambda h: h.update({"model.norm.weight": 3}), "weights_damaged"),
    ],
)
def test_a_header_that_lies_is_refused(change: Callable[[dict[str, Any]], Any], code: str) -> None:
    with pytest.raises(BadData) as caught:
        plan(DECODER, data=with_entry(change))
    assert caught.value.error_code == code


def test_weights_that_are_cut_off_are_refused() -> None:
    data = weights_of(DECODER)
    file = WeightsFile(header=described(data).header, num_bytes=len(data) - 4)
    with pytest.raises(BadData, match="cut off"):
        plan_folder(config=config_of(DECODER), index=None, weights={"model.safetensors": file})


def test_shards_are_read_as_the_index_says() -> None:
    state = dict(empty_model(DECODER).state_dict())
    names = sorted(state)
    halves = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    weights = {
        file: described(save({name: state[name] for name in part})) for file, part in halves.items()
    }
    weight_map = {name: file for file, part in halves.items() for name in part}
    index = json.dumps({"weight_map": weight_map}).encode()
    found = plan_folder(config=config_of(DECODER), index=index, weights=weights)
    assert {name: file for name, (file, _) in found.tensors.items()} == weight_map
    for broken, given, code in (
        (None, weights, "weights_damaged"),
        (b"{}", weights, "weights_damaged"),
        (b'{"weight_map": {"a": 3}}', weights, "weights_missing"),
        (index, {"a.safetensors": weights["a.safetensors"]}, "weights_missing"),
        (index, dict.fromkeys(halves, weights["a.safetensors"]), "weights_damaged"),
    ):
        with pytest.raises(BadData) as caught:
            plan_folder(config=config_of(DECODER), index=broken, weights=given)
        assert caught.value.error_code == code


def test_roles_are_read_in_both_forms_and_nothing_else_is() -> None:
    data = {"eos_token": "</s>", "pad_token": {"content": "<pad>"}, "mask_token": 3, "x": "y"}
    assert read_roles(json.dumps(data).encode(), file="a") == {
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    assert read_roles(b"[]", file="a") == {}
    with pytest.raises(BadData):
        read_roles(b"{", file="a")
