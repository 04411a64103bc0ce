"""Kill -9 of every process of the chain during a job, one after the other."""

from __future__ import annotations

import pydoc_data.topics
from typing import Any

import pytest

from tests.e2e.service import Service, wait_until

KILLED_IN_TURN = ("trainer", "runner", "celery", "api")
JOB = {
    "model": {"layers": 2, "width": 64, "heads": 2, "context_length": 64},
    "objective": "masked",
    # never at its end before every process has been killed
    "budget": {"steps": 10**6},
    "batch_tokens": 512,
    "checkpoints": {"every_steps": 20, "keep_last": 100},
    "evaluation": {"every_steps": 10**6},
    "seed": 7,
}


def _text() -> bytes:
    topics = [text for _, text in sorted(pydoc_data.topics.topics.items())][:20]
    return "\n\n".join(topics).encode()


def _checkpoints(service: Service, job_id: str) -> list[dict[str, Any]]:
    """The newest hundred."""
    newest: list[dict[str, Any]] = service.get(f"/v1/jobs/{job_id}/checkpoints", limit=100)["data"]
    return newest


def _saved(service: Service, job_id: str, *, after: int) -> dict[str, Any]:
    """The newest checkpoint once there is one after a step."""

    def is_there() -> dict[str, Any] | None:
        newest = _checkpoints(service, job_id)[:1]
        return newest[0] if newest and newest[0]["step"] > after else None

    return wait_until(is_there, seconds=180, what=f"a checkpoint of {job_id} after step {after}")


def _weights(service: Service, checkpoint: dict[str, Any]) -> str:
    files = service.get(f"/v1/checkpoints/{checkpoint['id']}")["files"]
    (digest,) = [file["sha256"] for file in files if file["name"] == "model.safetensors"]
    return str(digest)


def _end(service: Service, job_id: str) -> None:
    service.post(f"/v1/jobs/{job_id}/cancel")
    assert service.wait_for_job(job_id, seconds=60)["error"] is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_whose_every_process_is_killed_has_the_weights_of_an_undisturbed_one(
    service: Service,
) -> None:
    corpus = service.post("/v1/corpora", files={"file": ("topics.txt", _text())})
    hunted = service.post("/v1/jobs", json={"corpus": corpus["id"], **JOB})["id"]
    step = 0
    for kind in KILLED_IN_TURN:
        step = _saved(service, hunted, after=step)["step"]
        service.kill(kind)
    last = _saved(service, hunted, after=step)
    weights = _weights(service, last)
    _end(service, hunted)
    attempts = service.get(f"/v1/jobs/{hunted}/attempts")["data"]
    assert len(attempts) >= 4  # the API may die without any attempt noticing
    for first in range(1, last["step"] + 1, 500):
        steps = range(first, min(first + 500, last["step"] + 1))
        query = {"name": "train/loss", "from_step": steps[0], "to_step": steps[-1]}
        losses = service.get(f"/v1/jobs/{hunted}/metrics", resolution=1000, **query)["data"]
        assert [point["step"] for point in losses] == list(steps)

    undisturbed = service.post("/v1/jobs", json={"corpus": corpus["id"], **JOB})["id"]
    _saved(service, undisturbed, after=last["step"] - 1)
    _end(service, undisturbed)
    (same_step,) = [
        checkpoint
        for checkpoint in _checkpoints(service, undisturbed)
        if checkpoint["step"] == last["step"]
    ]
    assert _weights(service, same_step) == weights
