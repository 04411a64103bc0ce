"""Jobs that go on from a checkpoint: what may be asked for, and what comes of it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from core.errors import InvalidRequest
from core.job_request import JobRequest
from core.objectives import Architecture
from core.resolve import CheckpointFacts, CorpusFacts, check, resolve
from core.rotary import raised_theta
from core.spec import JobSpec, ModelShape

WEIGHTS = "ab" * 32


def parse(model: dict[str, Any], **fields: Any) -> JobRequest:
    return JobRequest.model_validate_json(
        json.dumps({"corpus": "corpus_1", "model": {"from": "ckpt_1", **model}, **fields})
    )


def facts(architecture: Architecture = "decoder") -> CheckpointFacts:
    shape = ModelShape(
        architecture=architecture, layers=3, width=256, heads=2, kv_heads=2, ffn_width=640,
        context_length=128, vocab_size=5000,
    )  # fmt: skip
    return CheckpointFacts("ckpt_1", WEIGHTS, shape)


def resolved(request: JobRequest) -> JobSpec:
    corpora = [CorpusFacts("corpus_1", "d" * 64, 10**7)]
    made = resolve(
        request, corpora=corpora, tokenizer_id="tokenizer_1", vocab_size=4096, start=facts()
    )
    return made.spec


def test_shape_is_the_checkpoints_and_the_spec_says_which_weights() -> None:
    spec = resolved(parse({}))
    assert spec.model == facts().shape
    assert spec.start is not None
    assert (spec.start.checkpoint, spec.start.weights_sha256) == ("ckpt_1", WEIGHTS)
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_spec_that_starts_afresh_reads_as_it_did_before_there_was_a_start() -> None:
    corpora = [CorpusFacts("corpus_1", "d" * 64, 10**7)]
    request = JobRequest.model_validate({"corpus": "corpus_1", "model": "tiny"})
    made = resolve(request, corpora=corpora, tokenizer_id="t", vocab_size=4096)
    written = made.spec.model_dump(mode="json")
    assert "start" not in written
    assert not {"rope_theta", "head_width"} & set(written["model"])


def test_a_longer_context_raises_the_rotary_base_and_keeps_the_rest() -> None:
    spec = resolved(parse({"context_length": 512}))
    assert spec.model.context_length == 512
    assert spec.model.rotary_base > 4 * facts().shape.rotary_base
    changed = {"context_length": 128, "rope_theta": None}
    assert spec.model.model_copy(update=changed) == facts().shape


def test_the_longest_wavelength_grows_as_the_context_does() -> None:
    theta = raised_theta(10_000.0, head_dim=64, before=256, after=1024)
    longest = lambda base: base ** ((64 - 2) / 64)  # noqa: E731 - its definition
    assert math.isclose(longest(theta) / longest(10_000.0), 4, rel_tol=1e-3)
    assert raised_theta(10_000.0, head_dim=64, before=256, after=256) == 10_000.0


@pytest.mark.parametrize(
    "field", [{"layers": 2}, {"preset": "tiny"}, {"architecture": "decoder"}, {"heads": None}]
)
def test_nothing_but_the_context_length_stands_beside_the_checkpoint(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"{next(iter(field))}: a model that goes on"):
        parse(field)


def test_a_shorter_context_turns_as_the_longer_one_did() -> None:
    spec = resolved(parse({"context_length": 64}))
    assert spec.model == facts().shape.model_copy(update={"context_length": 64})


def test_an_objective_that_the_architecture_cannot_learn_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(parse({}, objective="masked"), start=facts())
    assert caught.value.error_code == "objective_needs_another_architecture"
    check(parse({}, objective="masked"), start=facts("encoder"))


def test_the_request_is_stored_as_it_was_written() -> None:
    request = parse({"context_length": 512})
    assert request.as_stored()["model"] == {"from": "ckpt_1", "context_length": 512}
    assert JobRequest.model_validate(request.as_stored()) == request
