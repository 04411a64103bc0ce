"""A service without its API: a database, a store, and runners as real processes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.corpus_options import CorpusOptions
from core.job_request import JobRequest
from core.processes import ProcessIdentity
from core.settings import Settings
from corpora.encode import encode_corpus
from corpora.pipeline import build_corpus
from corpora.readers.source import SourceFile
from corpora.tokenizer import load_tokenizer
from corpora.tokenizer_training import train_tokenizer
from db.engine import Database
from db.tables import Blob, Checkpoint, Corpus, Event, File, Job
from services import attempts, corpora, datasets, jobs, making
from services.doorbell import Doorbell, SilentDoorbell
from storage import keys
from storage.local import LocalStore

_WORDS = (
    *("the", "a", "small", "cat", "dog", "house", "river", "tree", "sings", "runs", "sleeps"),
    *("over", "under", "near", "old", "new", "green", "red", "quick", "slow", "morning"),
    *("evening", "light", "water", "stone", "bird", "child", "mother", "walks", "looks", "finds"),
)
_DEADLINE_SECONDS = 120.0


def story(seed: int, num_sentences: int = 1500) -> str:
    """Text with some order in it, the same for the same seed."""
    chance = random.Random(seed)
    sentences = [" ".join(chance.choices(_WORDS, k=9)) + "." for _ in range(num_sentences)]
    return "\n\n".join(" ".join(sentences[i : i + 5]) for i in range(0, num_sentences, 5))


class House:
    """What an installation consists of, less the API and Celery."""

    def __init__(self, database: Database, database_url: str, directory: Path) -> None:
        self.database = database
        self.directory = directory
        self.store = LocalStore(directory / "store")
        self.doorbell: Doorbell = SilentDoorbell()
        self.settings: dict[str, Any] = {
            "data_dir": directory,
            "database_url": database_url,
            "store_url": f"file://{directory / 'store'}",
            # How soon a wish is heard; no lease runs out because a busy machine heard it late.
            "lease_seconds": 120.0,
            "heartbeat_seconds": 0.3,
            "drain_seconds": 60.0,
            "trainer_nice": 0,
            "reconcile_seconds": 0.2,
            "ring_again_seconds": 0.2,
        }
        self.corpus_id = ""
        """A corpus that is ready, where the fixture says so."""
        self._processes: list[subprocess.Popen[bytes]] = []

    def configured(self) -> Settings:
        return Settings(**self.settings)

    def upload(self, text: str, *, filename: str = "story.txt") -> str:
        return self.upload_bytes(text.encode(), filename=filename)

    def upload_bytes(self, data: bytes, *, filename: str) -> str:
        with self.database.unit_of_work(write=True) as uow:
            blob = Blob(key="", num_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            blob.key = keys.file_blob(blob.id)
            writer = self.store.writer(blob.key)
            writer.write(data)
            writer.commit()
            uow.blobs.add(blob)
            file = File(
                filename=filename, purpose="pretrain", num_bytes=len(data), sha256=blob.sha256
            )
            uow.files.add_with_pieces(file, [blob.id])
            uow.commit()
        return file.id

    def new_corpus(self, text: str | None = None, **options: Any) -> Corpus:
        file_id = self.upload(story(1) if text is None else text)
        with self.database.unit_of_work(write=True) as uow:
            corpus = corpora.create(
                uow, file_ids=[file_id], options=CorpusOptions(**options), doorbell=self.doorbell
            )
            uow.commit()
        return corpus

    def new_job(self, corpus: str | list[dict[str, Any]], **request: Any) -> Job:
        body = {
            "corpus": corpus,
            "model": {"layers": 1, "width": 32, "heads": 2, "context_length": 32},
            "batch_tokens": 128,
            "budget": {"steps": 12},
            "evaluation": {"every_steps": 4},
            "checkpoints": {"every_steps": 4, "keep_last": 2, "keep_best": 1},
            "precision": "fp32",
            **request,
        }
        with self.database.unit_of_work(write=True) as uow:
            job = jobs.create(uow, JobRequest.model_validate(body), doorbell=self.doorbell)
            uow.commit()
        return job

    def start_process(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``python -m`` with these arguments in this house."""
        environment = {f"PRETRAINER_{name.upper()}": str(v) for name, v in self.settings.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], env={**os.environ, **environment}
        )
        # One core, so one thread: threads that wait for each other crawl on a busy machine.
        os.sched_setaffinity(process.pid, {random.choice(sorted(os.sched_getaffinity(0)))})
        self._processes.append(process)
        return process

    def start(self, queues: str) -> subprocess.Popen[bytes]:
        return self.start_process("workers.runner", "--queues", queues)

    def run(self, queues: str) -> int:
        return self.end_of(self.start(queues))

    def end_of(self, process: subprocess.Popen[bytes]) -> int:
        """Wait until a process has ended by itself; its exit code."""
        return process.wait(timeout=_DEADLINE_SECONDS)

    def leave(self, process: subprocess.Popen[bytes]) -> int:
        """Ask a process to leave, and wait until it has."""
        process.send_signal(signal.SIGTERM)
        return self.end_of(process)

    def job(self, job_id: str) -> Job:
        with self.database.unit_of_work() as uow:
            return uow.jobs.get(job_id)

    def corpus(self, corpus_id: str) -> Corpus:
        with self.database.unit_of_work() as uow:
            return uow.corpora.get(corpus_id)

    def told(self, job_id: str) -> list[Event]:
        """The events of a job, the oldest first."""
        with self.database.unit_of_work() as uow:
            return uow.events.read_after(0, job_id=job_id, limit=10_000)

    def events(self, job_id: str) -> list[str]:
        """What kinds of events a job has had."""
        return [event.type for event in self.told(job_id)]

    def checkpoints(self, job_id: str) -> list[Checkpoint]:
        with self.database.unit_of_work() as uow:
            return uow.checkpoints.of_job(job_id)

    def weights(self, job_id: str) -> str:
        """The digest of the job's latest weights."""
        latest = self.checkpoints(job_id)[-1]
        with self.database.unit_of_work() as uow:
            file = uow.checkpoints.find_file(latest.id, "model.safetensors")
        assert file is not None
        return file.sha256

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain until {what}"
            time.sleep(0.02)

    def kill_all(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def made_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A story as a corpus, a tokenizer and a dataset, made once and in this process."""
    directory = tmp_path_factory.mktemp("made")
    text = directory / "story.txt"
    text.write_text(story(1))
    build_corpus(
        [SourceFile(path=text, filename="story.txt", sha256="5" * 64, id="file_story")],
        options=CorpusOptions(),
        directory=directory / "corpus",
        scratch=directory / "spool",
        progress=lambda _: None,
    )
    tokenizer = train_tokenizer(
        directory / "corpus", vocab_size=None, algorithm="bpe", progress=lambda _: None
    )
    (directory / "tokenizer").mkdir()
    (directory / "tokenizer" / "tokenizer.json").write_bytes(tokenizer.json)
    encode_corpus(
        directory / "corpus",
        tokenizer_json=tokenizer.json,
        directory=directory / "dataset",
        progress=lambda _: None,
    )
    return directory


@pytest.fixture
def ready(house: House, made_corpus: Path) -> House:
    """A house with a corpus that is ready."""
    corpus = house.new_corpus()
    tokenizer_id = corpus.default_tokenizer_id or ""
    house.store.put_directory(keys.corpus(corpus.id), made_corpus / "corpus")
    house.store.put_directory(keys.tokenizer(tokenizer_id), made_corpus / "tokenizer")
    manifest = json.loads((made_corpus / "corpus" / "manifest.json").read_text())
    encoded = json.loads((made_corpus / "dataset" / "manifest.json").read_text())
    with house.database.unit_of_work(project_id=None, write=True) as uow:
        claim = attempts.begin(
            uow, queues=["corpus"], process=ProcessIdentity.of(os.getpid()), lease_seconds=30
        )
        assert claim is not None
        making.finish_default_tokenizer(
            uow,
            claim,
            making.MadeTokenizer(
                vocab_size=load_tokenizer(
                    (made_corpus / "tokenizer" / "tokenizer.json").read_bytes()
                ).get_vocab_size(),
                sha256=encoded["tokenizer_sha256"],
                stats={},
            ),
        )
        dataset = datasets.begin(
            uow,
            corpus_id=corpus.id,
            tokenizer_id=tokenizer_id,
            corpus_digest=manifest["digest"],
            tokenizer_sha256=encoded["tokenizer_sha256"],
        )
        house.store.put_directory(dataset.prefix, made_corpus / "dataset")
        making.finish_corpus(
            uow,
            claim,
            corpus=making.MadeCorpus(
                **{name: manifest[name] for name in ("digest", "stats", "splits")}
            ),
            dataset=making.MadeDataset(id=dataset.id, manifest=encoded),
            doorbell=house.doorbell,
        )
        uow.commit()
    house.corpus_id = corpus.id
    return house


@pytest.fixture
def house(
    open_database: Callable[..., Database], database_url: str, tmp_path: Path
) -> Iterator[House]:
    found = House(open_database(), database_url, tmp_path / "house")
    yield found
    found.kill_all()
