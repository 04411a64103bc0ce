"""Production differs from `pretrainer up` by settings alone (docker-compose.yml in small)."""

from __future__ import annotations

import hashlib
import pydoc_data.topics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.production import Production, running_broker, running_database
from tests.servers import running_bucket

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(150)]

NUM_STEPS = 120
JOB = {
    "model": {"preset": "tiny", "layers": 1, "context_length": 64},
    "objective": "masked",
    "budget": {"steps": NUM_STEPS},
    "batch_tokens": 1024,
    "checkpoints": {"every_steps": 1000},
    "evaluation": {"every_steps": 1000},
}


@pytest.fixture
def database_url() -> Iterator[str]:
    with running_database() as url:
        yield url


@pytest.fixture
def broker_url(tmp_path: Path) -> Iterator[str]:
    with running_broker(tmp_path) as url:
        yield url


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    if request.param == "file":
        yield {"PRETRAINER_STORE_URL": f"file://{tmp_path / 'store'}"}
        return
    with running_bucket(tmp_path) as settings:
        yield settings


@pytest.fixture
def production(
    database_url: str, broker_url: str, store: dict[str, str], tmp_path: Path
) -> Iterator[Production]:
    urls = {"PRETRAINER_DATABASE_URL": database_url, "PRETRAINER_BROKER_URL": broker_url}
    with Production(tmp_path, settings=urls | store) as running:
        yield running


def upload(production: Production) -> str:
    """A new corpus; returns its id."""
    topics = [text for _, text in sorted(pydoc_data.topics.topics.items())][:20]
    text = "\n\n".join(topics).encode()
    corpus = production.post("/v1/corpora", files={"file": ("topics.txt", text)})
    return str(corpus["id"])


def download_weights(production: Production, job: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes of a job's last weights, and the digest that the API tells."""
    checkpoint = production.get(f"/v1/checkpoints/{job['latest_checkpoint']}")
    (digest,) = [
        file["sha256"] for file in checkpoint["files"] if file["name"] == "model.safetensors"
    ]
    answer = production.client.get(f"/v1/checkpoints/{checkpoint['id']}/files/model.safetensors")
    assert answer.status_code == httpx.codes.OK
    return answer.content, digest


def test_job_moves_between_hosts_that_share_three_urls_and_nothing_else(
    production: Production,
) -> None:
    production.start_worker("corpus", name="corpus-host")
    first = production.start_worker("train", name="first-host")
    job_id = production.post("/v1/jobs", json={"corpus": upload(production), **JOB})["id"]
    production.wait_for_step(job_id, 1, seconds=90)

    assert first.end() == 0
    saved = production.get(f"/v1/jobs/{job_id}")
    production.start_worker("train", name="second-host")
    job = production.wait_for_job(job_id, seconds=90)

    assert (saved["status"], job["status"]) == ("queued", "succeeded"), job
    assert saved["progress"]["step"] < NUM_STEPS
    attempts = production.get(f"/v1/jobs/{job_id}/attempts")["data"]
    assert sorted(attempt["outcome"] for attempt in attempts) == ["completed", "preempted"]
    losses = production.get(f"/v1/jobs/{job_id}/metrics", name="train/loss", resolution=1000)
    assert [point["step"] for point in losses["data"]] == list(range(1, NUM_STEPS + 1))
    weights, digest = download_weights(production, job)
    assert hashlib.sha256(weights).hexdigest() == digest
    production.end()
