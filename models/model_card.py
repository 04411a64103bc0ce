"""The model card: what a model was made of, for whoever finds its folder later."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from core.energy_estimate import estimated_kilowatt_hours
from core.sizing import flops_per_token, num_parameters
from core.spec import JobSpec, ModelShape
from models.card_data import data_section

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
_UNFINISHED: Final = (
    "**unfinished**: in the stage that was on, every word was told from those before it. Whoever "
    "opens this folder lets each word look to both sides, which only a later stage teaches: this "
    "checkpoint fills no gaps well"
)
_DEVICE: Final = {"cpu": "a CPU", "cuda": "a GPU"}
_ESTIMATED: Final = (
    "estimated from these operations and not measured: of the processor alone, within a factor of "
    "three or so"
)
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
    was_causal: bool,
    metrics: Mapping[str, float],
    samples: Sequence[Sample],
    provenance: Mapping[str, Any],
    device: Literal["cpu", "cuda"],
    precision: Literal["fp32", "bf16"],
) -> str:
    """``README.md``, with the YAML header that the Hugging Face hub reads.

    Args:
        spec: What was asked for.
        step: Optimizer steps so far.
        tokens: Tokens trained on so far.
        was_causal: Whether tokens saw none that come after them, in the last step.
        metrics: The latest evaluation.
        samples: What the model says to the fixed prompts and blanks.
        provenance: Where everything came from: names, digests, licences, statistics; told in full.
        device: What it was trained on.
        precision: Of the matrix products.
    """
    shape = spec.model
    flops = tokens * flops_per_token(shape, objective=spec.objective)
    kilowatt_hours = estimated_kilowatt_hours(flops, device=device, precision=precision)
    training = [
        f"- {step:,} steps of {spec.batch_tokens:,} tokens: {tokens:,} tokens",
        f"- objective: {spec.objective.label}",
        f"- optimizer: {spec.optimizer.name} at {spec.optimizer.learning_rate:g}, seed {spec.seed}",
        f"- {flops:.2e} floating-point operations, in {precision} on {_DEVICE[device]}",
        f"- energy: about {kilowatt_hours:.1g} kWh, {_ESTIMATED}",
    ]
    if was_causal and shape.architecture == "encoder":
        training.append(f"- {_UNFINISHED}")
    if spec.start is not None:
        training.append(
            f"- began with the weights of checkpoint `{spec.start.checkpoint}` (sha256 "
            f"`{spec.start.weights_sha256}`), whose own training is not counted here"
        )
    sections = [
        _header(shape),
        f"# A language model {_origin(spec)} ({num_parameters(shape):,} parameters)",
        _WARNING,
        f"## Use\n\n{_USE[shape.architecture]}",
        f"## Model\n\n{_described(shape)}",
        f"## Data\n\n{data_section(spec, provenance)}",
        "\n".join(["## Training\n", *training]),
        f"## Evaluation\n\n{_table(metrics)}",
    ]
    if samples:
        lines = "\n".join(f"- {_quoted(s.given)} → {_quoted(s.made)}" for s in samples)
        sections.append(f"## Samples\n\n{lines}")
    if provenance:
        sections.append(_folded("Everything that is known about the data", provenance))
    sections.append(_folded("The spec, complete", spec.model_dump(mode="json")))
    return "\n\n".join(sections) + "\n"


def uploaded_model_card(shape: ModelShape, *, digests: Mapping[str, str]) -> str:
    """``README.md`` of a model that was uploaded: nobody here knows what it was trained on.

    Args:
        shape: As the model is now.
        digests: The sha256 of each uploaded file, by its name.
    """
    origin = (
        "What it was trained on, and under which licence it stands, its makers know. Its weights "
        "are those of the files below, in fp32. Its tokenizer splits text as theirs did; where "
        "its ids are others, the rows of the embedding have moved with them."
    )
    files = "\n".join(f"- `{name}`: sha256 `{sha256}`" for name, sha256 in digests.items())
    sections = [
        _header(shape),
        f"# An uploaded language model ({num_parameters(shape):,} parameters)",
        origin,
        f"## Use\n\n{_USE[shape.architecture]}",
        f"## Model\n\n{_described(shape)}",
        f"## Uploaded files\n\n{files}",
    ]
    return "\n\n".join(sections) + "\n"


def _header(shape: ModelShape) -> str:
    return f"---\nlibrary_name: transformers\npipeline_tag: {_TASK[shape.architecture]}\n---"


def _described(shape: ModelShape) -> str:
    return (
        f"{shape.architecture.capitalize()}, {shape.layers} layers, width {shape.width}, "
        f"{shape.heads} heads, feed-forward width {shape.ffn_width}, context "
        f"{shape.context_length}, vocabulary {shape.vocab_size:,}."
    )


def _origin(spec: JobSpec) -> str:
    return "trained from scratch" if spec.start is None else "trained further"


def _table(metrics: Mapping[str, float]) -> str:
    if not metrics:
        return "None yet."
    rows = "\n".join(f"| `{name}` | {metrics[name]:.4g} |" for name in sorted(metrics))
    return f"| metric | value |\n|---|---|\n{rows}"


def _quoted(text: str) -> str:
    """Text as JSON: one line, and no Markdown of its own."""
    return f"`{json.dumps(text, ensure_ascii=False).replace('`', chr(0x2BC))}`"


def _folded(title: str, content: Mapping[str, Any]) -> str:
    """JSON that a reader may open, between more backticks than it holds itself."""
    text = json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, default=str)
    fence = "`" * max(4, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"<details>\n<summary>{title}</summary>\n\n{fence}json\n{text}\n{fence}\n\n</details>"
