"""The tensors that a model of a shape is made of; known without making one."""

from __future__ import annotations

from collections.abc import Iterator

from core.spec import ModelShape

TensorShape = tuple[int, ...]

TABLES = {
    "decoder": ("model.embed_tokens.weight", "lm_head.weight"),
    "encoder": ("model.embeddings.tok_embeddings.weight", "decoder.bias"),
}
"""The tensors of each architecture that have a row for every token of the vocabulary."""
TIED = {"decoder": "lm_head.weight", "encoder": "decoder.weight"}
"""What files of tied models may hold once more, though it is the embedding."""


def tensor_shapes(shape: ModelShape) -> dict[str, TensorShape]:
    """The shape of every tensor in ``model.safetensors``, by its name."""
    return dict(_decoder(shape) if shape.architecture == "decoder" else _encoder(shape))


def _decoder(shape: ModelShape) -> Iterator[tuple[str, TensorShape]]:
    width, ffn = shape.width, shape.ffn_width
    q_width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "model.embed_tokens.weight", (shape.vocab_size, width)
    for index in range(shape.layers):
        layer = f"model.layers.{index}"
        yield f"{layer}.input_layernorm.weight", (width,)
        yield f"{layer}.self_attn.q_proj.weight", (q_width, width)
        yield f"{layer}.self_attn.k_proj.weight", (kv_width, width)
        yield f"{layer}.self_attn.v_proj.weight", (kv_width, width)
        yield f"{layer}.self_attn.o_proj.weight", (width, q_width)
        yield f"{layer}.self_attn.q_norm.weight", (shape.head_dim,)
        yield f"{layer}.self_attn.k_norm.weight", (shape.head_dim,)
        yield f"{layer}.post_attention_layernorm.weight", (width,)
        yield f"{layer}.mlp.gate_proj.weight", (ffn, width)
        yield f"{layer}.mlp.up_proj.weight", (ffn, width)
        yield f"{layer}.mlp.down_proj.weight", (width, ffn)
    yield "model.norm.weight", (width,)
    if not shape.tie_embeddings:
        yield "lm_head.weight", (shape.vocab_size, width)


def _encoder(shape: ModelShape) -> Iterator[tuple[str, TensorShape]]:
    width, ffn = shape.width, shape.ffn_width
    yield "model.embeddings.tok_embeddings.weight", (shape.vocab_size, width)
    yield "model.embeddings.norm.weight", (width,)
    for index in range(shape.layers):
        layer = f"model.layers.{index}"
        if index > 0:
            yield f"{layer}.attn_norm.weight", (width,)
        yield f"{layer}.attn.Wqkv.weight", (3 * width, width)
        yield f"{layer}.attn.Wo.weight", (width, width)
        yield f"{layer}.mlp_norm.weight", (width,)
        yield f"{layer}.mlp.Wi.weight", (2 * ffn, width)
        yield f"{layer}.mlp.Wo.weight", (width, ffn)
    yield "model.final_norm.weight", (width,)
    yield "head.dense.weight", (width, width)
    yield "head.norm.weight", (width,)
    yield "decoder.bias", (shape.vocab_size,)
