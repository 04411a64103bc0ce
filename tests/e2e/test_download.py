"""What a user downloads is what the engine trained."""

from __future__ import annotations

import hashlib
import pydoc_data.topics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from core.objectives import Architecture
from models.huggingface import load_model
from tests.e2e.service import Service

SENTENCES = ("The function returns a list of the names.", "If the file does not exist, it is made.")
LOADERS: dict[Architecture, Any] = {
    "encoder": transformers.AutoModelForMaskedLM,
    "decoder": transformers.AutoModelForCausalLM,
}
OBJECTIVES: dict[Architecture, str] = {"encoder": "masked", "decoder": "causal"}


def download(service: Service, checkpoint_id: str, folder: Path) -> None:
    """Fetch a checkpoint file by file, checking each against its announced digest."""
    checkpoint = service.get(f"/v1/checkpoints/{checkpoint_id}")
    for file in checkpoint["files"]:
        body = service.client.get(file["url"]).raise_for_status().content
        assert hashlib.sha256(body).hexdigest() == file["sha256"], file["name"]
        path = folder / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for both architectures."""
    with Service(tmp_path_factory.mktemp("downloads") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def corpus_id(service: Service) -> str:
    text = "\n\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))
    corpus = service.post("/v1/corpora", files={"file": ("topics.txt", text.encode())})
    return str(corpus["id"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture", ["encoder", pytest.param("decoder", marks=pytest.mark.exhaustive)]
)
def test_a_downloaded_checkpoint_gives_the_logits_of_the_engine_in_transformers(
    architecture: Architecture, service: Service, corpus_id: str, tmp_path: Path
) -> None:
    request = {
        "corpus": corpus_id,
        "model": "tiny",
        "objective": OBJECTIVES[architecture],
        "budget": {"steps": 8},
        "batch_tokens": 1024,
    }
    job = service.wait_for_job(service.post("/v1/jobs", json=request)["id"], seconds=120)
    assert job["status"] == "succeeded", job
    folder = tmp_path / "model"
    download(service, job["latest_checkpoint"], folder)

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = LOADERS[architecture].from_pretrained(folder, dtype=torch.float32).eval()
    ours = load_model(folder)
    for sentence in SENTENCES:
        input_ids = tokenizer(sentence, return_tensors="pt")["input_ids"]
        with torch.no_grad():
            difference = theirs(input_ids).logits - ours.logits(input_ids)
        assert difference.abs().max() <= 1e-4
