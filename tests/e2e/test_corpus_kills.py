"""Kill -9 of every process of the service while it makes a corpus, one after the other."""

from __future__ import annotations

import pydoc_data.topics
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service, wait_until

KILLED_IN_TURN = ("corpus_process", "runner", "celery", "api", "broker")
NUM_FILES = 12


def _files() -> list[tuple[str, tuple[str, bytes]]]:
    """Some megabytes, no two documents the same."""
    topics = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    return [
        (
            "file",
            (f"{number}.txt", "\n\n".join(f"Part {number}. {text}" for text in topics).encode()),
        )
        for number in range(NUM_FILES)
    ]


def _ended(service: Service, corpus_id: str) -> Any:
    def ready() -> Any:
        corpus = service.get(f"/v1/corpora/{corpus_id}")
        return corpus if corpus["status"] in {"ready", "failed"} else None

    return wait_until(ready, seconds=240, what="the corpus is made")


def _has_moved_on(service: Service, corpus_id: str) -> bool:
    """Wait until more of the corpus is made; False if all of it is."""
    before = service.get(f"/v1/corpora/{corpus_id}")["progress"]

    def further() -> Any:
        corpus = service.get(f"/v1/corpora/{corpus_id}")
        return corpus if corpus["progress"] > before or corpus["status"] == "ready" else None

    return bool(wait_until(further, seconds=120, what="it goes on")["status"] != "ready")


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_corpus_whose_every_process_is_killed_is_the_undisturbed_one(tmp_path: Path) -> None:
    with Service(tmp_path / "data", piece_bytes="500000", lease_seconds="5") as service:
        calm = _ended(service, service.post("/v1/corpora", files=_files())["id"])
        assert calm["error"] is None
        assert service.client.delete(f"/v1/corpora/{calm['id']}").is_success

        hunted = service.post("/v1/corpora", files=_files())["id"]
        for kind in KILLED_IN_TURN:
            if _has_moved_on(service, hunted):
                service.kill(kind)
        corpus = _ended(service, hunted)

        assert corpus["error"] is None
        assert corpus["digest"] == calm["digest"]
        assert corpus["stats"] == calm["stats"]
        assert service.get(f"/v1/corpora/{hunted}/report")["digests"] is not None
