"""Which class stands behind which architecture, and a new model of a shape."""

from __future__ import annotations

import torch

from core.spec import ModelShape
from models.decoder import Decoder, initialise_decoder
from models.encoder import Encoder, initialise_encoder
from models.language_model import LanguageModel


def empty_model(shape: ModelShape) -> LanguageModel:
    """A model of this shape whose weights are yet to be loaded."""
    return Decoder(shape) if shape.architecture == "decoder" else Encoder(shape)


def new_model(shape: ModelShape, *, seed: int) -> LanguageModel:
    """A model of this shape with freshly drawn weights; equal seeds give equal weights.

    The weights are drawn on the CPU, so that the device does not matter.
    """
    generator = torch.Generator().manual_seed(seed)
    model = empty_model(shape)
    if isinstance(model, Decoder):
        initialise_decoder(model, generator=generator)
    elif isinstance(model, Encoder):
        initialise_encoder(model, generator=generator)
    return model
