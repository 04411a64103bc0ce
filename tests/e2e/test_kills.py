"""Kill -9 of every process of the chain during a job, one after the other."""

from __future__ import annotations

import pydoc_data.topics
from typing import Any

import pytest

from tests.e2e.service import Service

KILLED_IN_TURN = ("trainer", "runner", "celery", "api")
JOB = {
    "model": {"preset": "tiny", "layers": 2, "context_length": 64},
    "objective": "masked",
    "tokenizer": {"vocab_size": 1024},
    "budget": {"steps": 240},
    "batch_tokens": 1024,
    "checkpoints": {"every_steps": 20},
    "evaluation": {"every_steps": 120},
    "seed": 7,
}


def _text() -> bytes:
    return "\n\n".join(text for _, text in sorted(pydoc_data.topics.topics.items())).encode()


def _weights(service: Service, job: dict[str, Any]) -> str:
    checkpoint = service.get(f"/v1/checkpoints/{job['latest_checkpoint']}")
    assert checkpoint["step"] == JOB["budget"]["steps"]  # type: ignore[index]
    (weights,) = [f["sha256"] for f in checkpoint["files"] if f["name"] == "model.safetensors"]
    return str(weights)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_job_whose_every_process_is_killed_ends_with_the_weights_of_an_undisturbed_one(
    service: Service,
) -> None:
    corpus = service.post("/v1/corpora", files={"file": ("topics.txt", _text())})
    undisturbed = service.post("/v1/jobs", json={"corpus": corpus["id"], **JOB})
    calm = service.wait_for_job(undisturbed["id"], seconds=180)
    assert calm["status"] == "succeeded", calm

    hunted = service.post("/v1/jobs", json={"corpus": corpus["id"], **JOB})["id"]
    for number, kind in enumerate(KILLED_IN_TURN, start=1):
        service.wait_for_step(hunted, number * 40, seconds=120)
        service.kill(kind)
    job = service.wait_for_job(hunted, seconds=180)

    assert job["status"] == "succeeded", job
    assert _weights(service, job) == _weights(service, calm)
    attempts = service.get(f"/v1/jobs/{hunted}/attempts")["data"]
    assert len(attempts) >= 4  # the API may die without any attempt noticing
    losses = service.get(f"/v1/jobs/{hunted}/metrics", name="train/loss", resolution=1000)["data"]
    assert [point["step"] for point in losses] == list(range(1, 241))
