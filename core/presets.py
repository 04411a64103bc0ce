"""Model sizes by name. A preset fixes the shape; the vocabulary follows the tokenizer."""

from __future__ import annotations

from dataclasses import dataclass

from core.objectives import Architecture
from core.spec import ModelShape


@dataclass(frozen=True, slots=True)
class Preset:
    """A shape without its vocabulary, and the batch that suits it."""

    architecture: Architecture
    layers: int
    width: int
    heads: int
    kv_heads: int
    ffn_width: int
    context_length: int
    batch_tokens: int
    tie_embeddings: bool = True

    def shape(self, *, vocab_size: int) -> ModelShape:
        """The full shape for a vocabulary of ``vocab_size`` tokens."""
        return ModelShape(
            architecture=self.architecture,
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            kv_heads=self.kv_heads,
            ffn_width=self.ffn_width,
            context_length=self.context_length,
            vocab_size=vocab_size,
            tie_embeddings=self.tie_embeddings,
        )


PRESETS: dict[Architecture, dict[str, Preset]] = {
    "decoder": {
        "tiny": Preset("decoder", 4, 128, 1, 1, 384, 256, 2**14),
        "small": Preset("decoder", 8, 384, 3, 3, 1024, 512, 2**16),
        "base": Preset("decoder", 12, 768, 6, 6, 2048, 1024, 2**18, tie_embeddings=False),
        "medium": Preset("decoder", 24, 1024, 8, 8, 2816, 2048, 2**19, tie_embeddings=False),
        "large": Preset("decoder", 22, 2048, 16, 8, 5632, 2048, 2**20),
    },
    "encoder": {
        "tiny": Preset("encoder", 4, 128, 2, 2, 256, 256, 2**14),
        "small": Preset("encoder", 8, 384, 6, 6, 640, 512, 2**16),
        "base": Preset("encoder", 22, 768, 12, 12, 1152, 1024, 2**18),
    },
}
"""By architecture and name; head_dim is 128 in every decoder, which GGUF readers assume."""

PRESET_NAMES = ("tiny", "small", "base", "medium", "large")
