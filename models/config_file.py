"""A stranger's ``config.json``: whether it describes a model that can be trained here.

Torch-free. What a config says about anything that we compute in one way only has to say just that:
a model that is computed otherwise would be a silent wrong one.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import BadData
from core.rotary import LOCAL_ROPE_THETA, ROPE_THETA
from core.sizing import ENCODER_GLOBAL_EVERY, ENCODER_LOCAL_WINDOW
from core.spec import MAX_LAYERS, ModelShape

CONFIG_NAME: Final = "config.json"
RMS_NORM_EPS: Final = 1e-6
NORM_EPS: Final = 1e-5
_LONGEST_SHOWN: Final = 80

TokenId = int | list[int] | None


class _Config(BaseModel):
    """What both architectures have; fields that change no number are not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int = Field(ge=1, le=MAX_LAYERS)
    """Bounded before anything is made for each layer."""
    num_attention_heads: int = Field(ge=1)
    max_position_embeddings: int
    attention_bias: Literal[False] = False
    layer_types: list[Literal["full_attention", "sliding_attention"]] | None = None
    bos_token_id: TokenId = None
    eos_token_id: TokenId = None
    pad_token_id: TokenId = None


class _Rope(BaseModel):
    """How the angles of rotary embeddings grow."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    rope_theta: float
    rope_type: Literal["default"] = "default"


class Qwen3Config(_Config):
    """``Qwen3ForCausalLM``."""

    model_type: Literal["qwen3"]
    num_key_value_heads: int
    head_dim: int = 128
    hidden_act: Literal["silu"] = "silu"
    rms_norm_eps: float = RMS_NORM_EPS
    tie_word_embeddings: bool = False
    use_sliding_window: Literal[False] = False
    rope_theta: float | None = None
    rope_parameters: _Rope | None = None
    rope_scaling: None = None

    def shape(self) -> ModelShape:
        """The model's shape.

        Raises:
            ValueError: it is none, or none of ours.
        """
        _expect("rms_norm_eps", self.rms_norm_eps, RMS_NORM_EPS)
        full = ["full_attention"] * self.num_hidden_layers
        _expect("layer_types", self.layer_types or full, full)
        theta = self.rope_parameters.rope_theta if self.rope_parameters else self.rope_theta
        if theta is None:
            raise ValueError("rope_theta: is missing")
        is_usual = self.head_dim * self.num_attention_heads == self.hidden_size
        return ModelShape(
            architecture="decoder",
            layers=self.num_hidden_layers,
            width=self.hidden_size,
            heads=self.num_attention_heads,
            kv_heads=self.num_key_value_heads,
            ffn_width=self.intermediate_size,
            context_length=self.max_position_embeddings,
            vocab_size=self.vocab_size,
            tie_embeddings=self.tie_word_embeddings,
            head_width=None if is_usual else self.head_dim,
            rope_theta=None if theta == ROPE_THETA["decoder"] else theta,
        )


class _Ropes(BaseModel):
    """Of an encoder's global and local layers."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    full_attention: _Rope
    sliding_attention: _Rope


class ModernBertConfig(_Config):
    """``ModernBertForMaskedLM``."""

    model_type: Literal["modernbert"]
    hidden_activation: Literal["gelu"] = "gelu"
    classifier_activation: Literal["gelu"] = "gelu"
    classifier_bias: Literal[False] = False
    decoder_bias: Literal[True] = True
    mlp_bias: Literal[False] = False
    norm_bias: Literal[False] = False
    norm_eps: float = NORM_EPS
    local_attention: int = ENCODER_LOCAL_WINDOW
    global_attn_every_n_layers: int = ENCODER_GLOBAL_EVERY
    tie_word_embeddings: Literal[True] = True
    global_rope_theta: float | None = None
    local_rope_theta: float | None = None
    rope_parameters: _Ropes | None = None
    cls_token_id: TokenId = None
    sep_token_id: TokenId = None

    def shape(self) -> ModelShape:
        """The model's shape.

        Raises:
            ValueError: it is none, or none of ours.
        """
        _expect("norm_eps", self.norm_eps, NORM_EPS)
        _expect("local_attention", self.local_attention, ENCODER_LOCAL_WINDOW)
        every = ENCODER_GLOBAL_EVERY
        _expect("global_attn_every_n_layers", self.global_attn_every_n_layers, every)
        layer_types = [
            "sliding_attention" if index % every else "full_attention"
            for index in range(self.num_hidden_layers)
        ]
        _expect("layer_types", self.layer_types or layer_types, layer_types)
        ropes = self.rope_parameters
        theta = ropes.full_attention.rope_theta if ropes else self.global_rope_theta
        local = ropes.sliding_attention.rope_theta if ropes else self.local_rope_theta
        if theta is None:
            raise ValueError("global_rope_theta: is missing")
        _expect("local_rope_theta", LOCAL_ROPE_THETA if local is None else local, LOCAL_ROPE_THETA)
        return ModelShape(
            architecture="encoder",
            layers=self.num_hidden_layers,
            width=self.hidden_size,
            heads=self.num_attention_heads,
            kv_heads=self.num_attention_heads,
            ffn_width=self.intermediate_size,
            context_length=self.max_position_embeddings,
            vocab_size=self.vocab_size,
            rope_theta=None if theta == ROPE_THETA["encoder"] else theta,
        )


_CONFIGS: Final[dict[str, type[Qwen3Config | ModernBertConfig]]] = {
    "qwen3": Qwen3Config,
    "modernbert": ModernBertConfig,
}


def read_config(data: bytes) -> tuple[ModelShape, dict[str, int]]:
    """The shape that a ``config.json`` describes, and the ids of the tokens that it names.

    Returns:
        The shape; and by the name of the role (``eos_token``), the id.

    Raises:
        BadData: it is damaged (``config_damaged``), of another architecture
            (``architecture_not_supported``), or of a model that we do not compute that way
            (``config_not_supported``).
    """
    try:
        raw: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadData(f"{CONFIG_NAME} is no JSON: {error}", code="config_damaged") from None
    kind = raw.get("model_type") if isinstance(raw, dict) else None
    if not isinstance(kind, str) or kind not in _CONFIGS:
        raise BadData(
            f"{CONFIG_NAME}: model_type is {str(kind)[:_LONGEST_SHOWN]!r}; models of type "
            f"{' and '.join(map(repr, _CONFIGS))} can be trained further.",
            code="architecture_not_supported",
        )
    try:
        config = _CONFIGS[kind].model_validate(raw)
        return config.shape(), _token_ids(config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        why = str(first["msg"]).removeprefix("Value error, ")
        raise _unsupported(f"{place}: {why}" if place else why) from None
    except ValueError as error:
        raise _unsupported(str(error)) from None


def _unsupported(what: str) -> BadData:
    return BadData(f"{CONFIG_NAME}: {what}.", code="config_not_supported")


def _expect(field: str, seen: object, known: object) -> None:
    if seen != known:
        raise ValueError(
            f"{field}: is {str(seen)[:_LONGEST_SHOWN]}, and only "
            f"{str(known)[:_LONGEST_SHOWN]} can be trained here"
        )


def _token_ids(config: Qwen3Config | ModernBertConfig) -> dict[str, int]:
    found: dict[str, int] = {}
    for field, value in config:
        if field.endswith("_token_id") and value is not None:
            ids = value if isinstance(value, list) else [value]
            found |= {field.removesuffix("_id"): id_ for id_ in ids[:1]}
    return found
