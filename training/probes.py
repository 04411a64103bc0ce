"""Probes: a job's own prompts and blanks, put to the model at every evaluation.

Their answers are kept, so that one can read how a model learns. Nothing is drawn: a decoder takes
the likeliest token each time, and so do the fillings of a blank.
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer

from core.objectives import filling_objective
from core.spec import JobSpec
from corpora.vocabulary import Vocabulary
from training.continuing import continue_prompts
from training.decoder_filling import DecoderFiller
from training.encoder_filling import EncoderFiller
from training.evaluation import Scorer
from training.ports import Continuation, Filling


def probe(
    model: Scorer,
    *,
    spec: JobSpec,
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    device: torch.device,
) -> tuple[list[Continuation], list[Filling]]:
    """Put the spec's prompts to a decoder, and its blanks to whoever was trained to fill them."""
    length = spec.model.context_length
    if spec.model.architecture == "encoder":
        encoder = EncoderFiller(model, tokenizer, vocabulary, length, device)
        return [], [encoder.fill(blank) for blank in spec.evaluation.blanks]
    continuations = continue_prompts(
        model,
        spec.evaluation.prompts,
        tokenizer=tokenizer,
        vocabulary=vocabulary,
        context_length=length,
        device=device,
    )
    objective = filling_objective(spec.objective)
    if objective is None:
        return continuations, []
    decoder = DecoderFiller(model, tokenizer, vocabulary, length, device, objective)
    return continuations, [decoder.fill(blank) for blank in spec.evaluation.blanks]
