"""The model card: what a model was made of, for whoever finds its folder later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.sizing import flops_per_token, num_parameters
from core.spec import JobSpec

_WARNING: Final = """\
This is a **base model**: it was trained only to put removed words back, on the text named below.
It follows no instructions, it rambles, and it repeats what its text said, true or not. It needs
post-training before people talk to it."""
_USE: Final = {
    "decoder": """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this folder")
model = AutoModelForCausalLM.from_pretrained("this folder")
```""",
    "encoder": """\
```python
from transformers import AutoModelForMaskedLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this folder")
model = AutoModelForMaskedLM.from_pretrained("this folder")
```""",
}
_TASK: Final = {"decoder": "text-generation", "encoder": "fill-mask"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A fixed text that the model was given, and what it made of it."""

    given: str
    made: str


def model_card(
    spec: JobSpec,
    *,
    step: int,
    tokens: int,
    metrics: Mapping[str, float],
    samples: Sequence[Sample],
    provenance: Mapping[str, Any],
) -> str:
    """``README.md``, with the YAML header that the Hugging Face hub reads.

    Args:
        spec: What was asked for.
        step: Optimizer steps so far.
        tokens: Tokens trained on so far.
        metrics: The latest evaluation.
        samples: What the model says to the fixed prompts and blanks.
        provenance: Where everything came from: ids, file names, digests, licences; told in full.
    """
    shape = spec.model
    flops = tokens * flops_per_token(shape)
    model = (
        f"{shape.architecture.capitalize()}, {shape.layers} layers, width {shape.width}, "
        f"{shape.heads} heads, feed-forward width {shape.ffn_width}, context "
        f"{shape.context_length}, vocabulary {shape.vocab_size:,}."
    )
    training = (
        f"{step:,} steps, {tokens:,} tokens, {flops:.3g} floating-point operations; objective "
        f"`{spec.objective.label}`, {spec.batch_tokens:,} tokens a step, optimizer "
        f"`{spec.optimizer.name}` at {spec.optimizer.learning_rate:g}, seed {spec.seed}."
    )
    sections = [
        f"---\nlibrary_name: transformers\npipeline_tag: {_TASK[shape.architecture]}\n---",
        f"# A language model trained from scratch ({num_parameters(shape):,} parameters)",
        _WARNING,
        f"## Use\n\n{_USE[shape.architecture]}",
        f"## Model\n\n{model}",
        f"## Training\n\n{training}",
        f"## Evaluation\n\n{_table(metrics)}",
    ]
    if samples:
        lines = "\n".join(f"- {_quoted(s.given)} → {_quoted(s.made)}" for s in samples)
        sections.append(f"## Samples\n\n{lines}")
    if provenance:
        sections.append(f"## Data\n\n{_code(provenance)}")
    sections.append(f"## Spec\n\n{_code(spec.model_dump(mode='json'))}")
    return "\n\n".join(sections) + "\n"


def _table(metrics: Mapping[str, float]) -> str:
    if not metrics:
        return "None yet."
    rows = "\n".join(f"| `{name}` | {metrics[name]:.4g} |" for name in sorted(metrics))
    return f"| metric | value |\n|---|---|\n{rows}"


def _quoted(text: str) -> str:
    """Text as JSON: one line, and no Markdown of its own."""
    return f"`{json.dumps(text, ensure_ascii=False).replace('`', chr(0x2BC))}`"


def _code(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, default=str)
    return f"```json\n{text}\n```"
