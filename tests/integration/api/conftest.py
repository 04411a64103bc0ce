"""The API on a real SQLite database and a real store; workers are played by their own services."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from api.deps import Service
from core.corpus_options import CorpusOptions
from core.processes import ProcessIdentity
from core.settings import Settings
from corpora.encode import encode_corpus
from corpora.pipeline import build_corpus
from corpora.readers.source import SourceFile
from corpora.tokenizer_training import train_tokenizer
from db.repositories.metrics import MetricPoint
from services import attempts, checkpoints, datasets, job_outcomes, job_runs, making
from services.checkpoints import StoredCheckpoint
from services.doorbell import SilentDoorbell
from storage import keys

TEXT = "The quick brown fox jumps over the lazy dog. A {} barks at {} cats.\n\n"


@dataclass(frozen=True)
class Made:
    """A corpus, its tokenizer and their dataset, in directories."""

    corpus: Path
    dataset: Path
    tokenizer_json: bytes
    facts: dict[str, Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What a worker makes of a small text, once for all tests."""
    root = tmp_path_factory.mktemp("made")
    text = root / "text.jsonl"
    words = ["hound", "puppy", "terrier", "poodle", "mutt", "beagle", "collie", "whippet"]
    lines = [TEXT.format(words[index % 8], index).strip() for index in range(2000)]
    text.write_text("".join(f'{{"text": "{line}"}}\n' for line in lines))
    corpus, dataset = root / "corpus", root / "dataset"
    manifest = build_corpus(
        [SourceFile(path=text, filename="text.jsonl", sha256="0" * 64, id="file_1")],
        options=CorpusOptions(),
        directory=corpus,
        scratch=root / "scratch",
        progress=lambda _: None,
    )
    tokenizer = train_tokenizer(corpus, vocab_size=None, progress=lambda _: None)
    encoded = encode_corpus(
        corpus, tokenizer_json=tokenizer.json, directory=dataset, progress=lambda _: None
    )
    facts = {
        "corpus": making.MadeCorpus(
            digest=manifest.digest,
            stats=manifest.stats.model_dump(mode="json"),
            splits={
                name: split.model_dump(mode="json", include={"num_documents", "num_bytes"})
                for name, split in manifest.splits.items()
            },
        ),
        "tokenizer": making.MadeTokenizer(
            vocab_size=tokenizer.vocab_size,
            sha256=tokenizer.sha256,
            stats=asdict(tokenizer.stats),
        ),
        "dataset": encoded.model_dump(mode="json"),
    }
    return Made(corpus=corpus, dataset=dataset, tokenizer_json=tokenizer.json, facts=facts)


@pytest.fixture
def settings(tmp_path: Path, migrated_sqlite: Path) -> Settings:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    shutil.copyfile(migrated_sqlite, data_dir / "pretrainer.db")
    return Settings(
        data_dir=data_dir, max_file_bytes=1 << 20, max_json_bytes=1 << 16, reconcile_seconds=3600
    )


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The application that all tests serve in turn: its first request puts the routes together."""
    return create_app(Settings(data_dir=tmp_path_factory.mktemp("nothing")))


@pytest.fixture
def client(app: FastAPI, settings: Settings) -> Iterator[TestClient]:
    app.state.settings = settings
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture
def service(client: TestClient) -> Service:
    """The parts behind `client`."""
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    return service


@dataclass(frozen=True)
class Worker:
    """Does by hand what a worker process does, through the same services."""

    service: Service
    made: Made

    def claim(self, queue: str) -> attempts.Claim:
        """Take the next piece of work."""
        with self.service.database.unit_of_work(None, write=True) as uow:
            claim = attempts.begin(
                uow, queues=[queue], process=ProcessIdentity.of(1), lease_seconds=60
            )
            assert claim is not None
            start = job_runs.start if queue.startswith("train") else making.start
            start(uow, claim)
            uow.commit()
        return claim

    def build_corpus(self) -> None:
        """Make the next corpus that waits."""
        claim = self.claim("corpus")
        store, facts = self.service.store, self.made.facts
        with self.service.database.unit_of_work(write=True) as uow:
            corpus = uow.corpora.get(claim.subject_id)
            store.put_directory(keys.corpus(corpus.id), self.made.corpus)
            writer = store.writer(
                f"{keys.tokenizer(corpus.default_tokenizer_id or '')}tokenizer.json"
            )
            writer.write(self.made.tokenizer_json)
            writer.commit()
            making.finish_default_tokenizer(uow, claim, facts["tokenizer"])
            dataset = datasets.begin(
                uow,
                corpus_id=corpus.id,
                tokenizer_id=corpus.default_tokenizer_id or "",
                corpus_digest=facts["corpus"].digest,
                tokenizer_sha256=facts["tokenizer"].sha256,
            )
            store.put_directory(dataset.prefix, self.made.dataset)
            making.finish_corpus(
                uow,
                claim,
                corpus=facts["corpus"],
                dataset=making.MadeDataset(id=dataset.id, manifest=facts["dataset"]),
                doorbell=SilentDoorbell(),
            )
            uow.commit()

    def fail_corpus(self, message: str) -> None:
        """Find that the next corpus cannot be made."""
        claim = self.claim("corpus")
        with self.service.database.unit_of_work(write=True) as uow:
            making.fail(uow, claim, code="corpus_empty", message=message, param="files")
            uow.commit()

    def train(self, *, losses: list[float]) -> attempts.Claim:
        """Run the next job for a step a loss."""
        claim = self.claim("train.1")
        points = [
            MetricPoint(step=step, tokens=step * 100, name=name, value=loss)
            for step, loss in enumerate(losses, start=1)
            for name in ("train/loss", "validation/loss")
        ]
        with self.service.database.unit_of_work(write=True) as uow:
            change = job_runs.Advance(
                phase="training", step=len(losses), tokens=len(losses) * 100, points=points
            )
            job_runs.advance(uow, claim, change)
            uow.commit()
        return claim

    def probe(self, claim: attempts.Claim, probes: Sequence[job_runs.Probes]) -> None:
        """Tell what the model said at an evaluation."""
        with self.service.database.unit_of_work(write=True) as uow:
            job_runs.advance(uow, claim, job_runs.Advance(probes=probes))
            uow.commit()

    def save(
        self, claim: attempts.Claim, *, step: int, loss: float, files: dict[str, bytes]
    ) -> str:
        """Commit a checkpoint with these files; returns its id."""
        prefix = keys.checkpoint(claim.subject_id, step, claim.fence)
        objects = []
        for name, content in {**files, "manifest.json": b"{}"}.items():
            writer = self.service.store.writer(f"{prefix}{name}")
            writer.write(content)
            objects.append(writer.commit())
        with self.service.database.unit_of_work(write=True) as uow:
            saved = checkpoints.commit(
                uow,
                claim,
                StoredCheckpoint(
                    step=step,
                    tokens=step * 100,
                    prefix=prefix,
                    metrics={"validation/loss": loss},
                    objects=objects,
                ),
            )
            uow.commit()
            return saved.id

    def finish(self, claim: attempts.Claim) -> None:
        """The job's budget is spent."""
        with self.service.database.unit_of_work(write=True) as uow:
            job_outcomes.succeed(uow, claim)
            uow.commit()


@pytest.fixture
def worker(service: Service, made: Made) -> Worker:
    return Worker(service, made)


@pytest.fixture
def corpus_id(client: TestClient) -> str:
    """A corpus that waits to be made."""
    answer = client.post("/v1/corpora", files={"file": ("a.txt", b"Some text.\n")})
    assert answer.status_code == 202, answer.text
    identifier: str = answer.json()["id"]
    return identifier


@pytest.fixture
def ready_corpus_id(corpus_id: str, worker: Worker) -> str:
    """A corpus that is ready."""
    worker.build_corpus()
    return corpus_id
