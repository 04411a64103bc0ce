"""The downloaded folders, loaded by `transformers` and nothing of ours."""

from __future__ import annotations

import os
from pathlib import Path

_GAP = " ____"
_SHOWN_WORDS = 5
_CONTINUATION_TOKENS = 40


def prepare() -> None:
    """Make sure that nothing but the folder is used, and silently; once, before the first load."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"


def fill(folder: Path, blanks: list[str]) -> list[tuple[str, list[str]]]:
    """Each sentence with the best word in its gap, and the best few words."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder)
    filler = pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=_SHOWN_WORDS)
    filled = []
    for blank in blanks:
        guesses = [
            guess["token_str"].strip()
            for guess in filler(blank.replace(_GAP, tokenizer.mask_token))
        ]
        filled.append((blank.replace(_GAP.strip(), guesses[0]), guesses))
    return filled


def continue_text(folder: Path, prompt: str) -> str:
    """What the decoder writes after the prompt, always the likeliest next token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    writer = pipeline(
        "text-generation",
        model=AutoModelForCausalLM.from_pretrained(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
    )
    answer = writer(
        prompt, max_new_tokens=_CONTINUATION_TOKENS, do_sample=False, repetition_penalty=1.2
    )
    return str(answer[0]["generated_text"])
