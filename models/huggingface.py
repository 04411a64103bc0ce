"""The files beside the weights that make a folder loadable by ``transformers`` 5 and 4.

Both the newer names (``rope_parameters``, ``dtype``) and the older ones (``rope_theta``,
``torch_dtype``) are written; each version ignores the other's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safetensors.torch import load_file

from core.objectives import Architecture
from core.rotary import LOCAL_ROPE_THETA, ROPE_THETA
from core.sizing import ENCODER_GLOBAL_EVERY, ENCODER_LOCAL_WINDOW
from core.spec import ModelShape
from models.architectures import empty_model
from models.decoder import RMS_NORM_EPS
from models.encoder import NORM_EPS, is_global
from models.language_model import LanguageModel

CONFIG_NAME: Final = "config.json"
WEIGHTS_NAME: Final = "model.safetensors"
WEIGHTS_METADATA: Final = {"format": "pt"}

_END_OF_TEXT, _PAD, _MASK, _CLS, _SEP = "<|endoftext|>", "<|pad|>", "[MASK]", "[CLS]", "[SEP]"
_ROLES: Final[dict[Architecture, dict[str, str]]] = {
    "decoder": {"bos_token": _END_OF_TEXT, "eos_token": _END_OF_TEXT, "pad_token": _PAD},
    "encoder": {
        "cls_token": _CLS,
        "sep_token": _SEP,
        "mask_token": _MASK,
        "pad_token": _PAD,
    },
}


def hugging_face_files(shape: ModelShape, *, tokenizer_json: bytes) -> dict[str, bytes]:
    """Everything but the weights and the model card, by file name.

    Args:
        shape: The model's shape.
        tokenizer_json: The tokenizer of its corpus, as ``tokenizers`` writes it.
    """
    tokenizer = json.loads(tokenizer_json)
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    roles = _ROLES[shape.architecture]
    files: dict[str, Any] = {
        CONFIG_NAME: model_config(shape, special_ids=ids),
        "tokenizer.json": _for_architecture(tokenizer, shape.architecture),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": shape.context_length,
            "clean_up_tokenization_spaces": False,
            "model_input_names": ["input_ids", "attention_mask"],
            **_special_tokens(roles, mark={"__type": "AddedToken"}),
        },
        "special_tokens_map.json": _special_tokens(roles, mark={}),
    }
    if shape.architecture == "decoder":
        files["generation_config.json"] = {
            "bos_token_id": ids[_END_OF_TEXT],
            "eos_token_id": ids[_END_OF_TEXT],
            "pad_token_id": ids[_PAD],
        }
    else:
        files["generation_config.json"] = {"pad_token_id": ids[_PAD]}
    return {name: _json(content) for name, content in files.items()}


def model_config(shape: ModelShape, *, special_ids: Mapping[str, int]) -> dict[str, Any]:
    """``config.json`` of a shape.

    Args:
        shape: The model's shape.
        special_ids: The ids of the special tokens by their text.
    """
    common: dict[str, Any] = {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.ffn_width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.context_length,
        "initializer_range": 0.02,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": shape.tie_embeddings,
        "pad_token_id": special_ids[_PAD],
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    if shape.architecture == "decoder":
        return {
            "architectures": ["Qwen3ForCausalLM"],
            "model_type": "qwen3",
            **common,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": RMS_NORM_EPS,
            "rope_parameters": _rope(shape.rotary_base),
            "rope_theta": shape.rotary_base,
            "use_sliding_window": False,
            "sliding_window": None,
            "use_cache": True,
            "bos_token_id": special_ids[_END_OF_TEXT],
            "eos_token_id": special_ids[_END_OF_TEXT],
        }
    return {
        "architectures": ["ModernBertForMaskedLM"],
        "model_type": "modernbert",
        **common,
        "hidden_activation": "gelu",
        "classifier_activation": "gelu",
        "classifier_bias": False,
        "decoder_bias": True,
        "mlp_bias": False,
        "norm_bias": False,
        "norm_eps": NORM_EPS,
        "local_attention": ENCODER_LOCAL_WINDOW,
        "global_attn_every_n_layers": ENCODER_GLOBAL_EVERY,
        "layer_types": [
            "full_attention" if is_global(layer) else "sliding_attention"
            for layer in range(shape.layers)
        ],
        "rope_parameters": {
            "full_attention": _rope(shape.rotary_base),
            "sliding_attention": _rope(LOCAL_ROPE_THETA),
        },
        "global_rope_theta": shape.rotary_base,
        "local_rope_theta": LOCAL_ROPE_THETA,
        "bos_token_id": special_ids[_CLS],
        "cls_token_id": special_ids[_CLS],
        "eos_token_id": special_ids[_SEP],
        "sep_token_id": special_ids[_SEP],
    }


def shape_of_config(config: Mapping[str, Any]) -> ModelShape:
    """The shape behind a ``config.json`` that :func:`model_config` wrote."""
    is_decoder = config["model_type"] == "qwen3"
    architecture: Architecture = "decoder" if is_decoder else "encoder"
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head_dim = config["head_dim"] if is_decoder else width // heads
    theta = config["rope_theta" if is_decoder else "global_rope_theta"]
    return ModelShape(
        architecture=architecture,
        layers=config["num_hidden_layers"],
        width=width,
        heads=heads,
        kv_heads=config["num_key_value_heads"] if is_decoder else heads,
        ffn_width=config["intermediate_size"],
        context_length=config["max_position_embeddings"],
        vocab_size=config["vocab_size"],
        tie_embeddings=config["tie_word_embeddings"],
        head_width=None if head_dim * heads == width else head_dim,
        rope_theta=None if theta == ROPE_THETA[architecture] else theta,
    )


def load_model(directory: Path) -> LanguageModel:
    """The model in a checkpoint's directory, on the CPU in fp32, ready to be used."""
    model = empty_model(shape_of_config(json.loads((directory / CONFIG_NAME).read_bytes())))
    model.load_state_dict(load_file(directory / WEIGHTS_NAME))
    return model.eval()


def _rope(theta: float) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta}


def _for_architecture(tokenizer: Mapping[str, Any], architecture: Architecture) -> dict[str, Any]:
    """The tokenizer with what its architecture adds: an encoder's ``[CLS] ... [SEP]``."""
    if architecture == "decoder":
        return dict(tokenizer)
    added = [
        {**token, "lstrip": True} if token["content"] == _MASK else token
        for token in tokenizer["added_tokens"]
    ]
    ids = {token["content"]: token["id"] for token in added}
    cls_token, sep_token = ({"SpecialToken": {"id": name, "type_id": 0}} for name in (_CLS, _SEP))
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in ("A", "B"))
    template = {
        "type": "TemplateProcessing",
        "single": [cls_token, first, sep_token],
        "pair": [cls_token, first, sep_token, second, sep_token],
        "special_tokens": {
            name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in (_CLS, _SEP)
        },
    }
    return {**tokenizer, "added_tokens": added, "post_processor": template}


def _special_tokens(roles: Mapping[str, str], *, mark: Mapping[str, str]) -> dict[str, Any]:
    """The roles of special tokens, with a mask that swallows the space before it.

    A byte-level vocabulary keeps a word's space with the word, so the space was removed with it.
    ``mark`` tells readers of ``tokenizer_config.json`` what the mask's entry is; readers of
    ``special_tokens_map.json`` know, and complain about it.
    """
    mask = {
        **mark,
        "content": _MASK,
        "lstrip": True,
        "rstrip": False,
        "single_word": False,
        "normalized": False,
        "special": True,
    }
    return {role: mask if token == _MASK else token for role, token in roles.items()}


def _json(content: Any) -> bytes:  # noqa: ANN401 - any JSON
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
