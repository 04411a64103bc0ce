"""Rows to work on, and a doorbell that remembers."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from core.corpus_options import CorpusOptions
from core.job_request import JobRequest
from core.processes import ProcessIdentity
from db.engine import Database
from db.tables import Corpus, File, Job, Tokenizer
from services import attempts, checkpoints, corpora, datasets, jobs, making
from services.attempts import Claim
from services.checkpoints import StoredCheckpoint
from storage import keys
from storage.local import LocalStore

DATASET_MANIFEST = {
    "digest": "d" * 64,
    "splits": {"train": {"num_tokens": 50_000}, "validation": {"num_tokens": 1_000}},
}


class RememberingDoorbell:
    """A doorbell whose rings wait until a test takes them."""

    def __init__(self) -> None:
        self.rings: list[str] = []

    def ring(self, queues: Collection[str]) -> None:
        self.rings += queues

    def waiting(self, queue_name: str) -> int:
        return self.rings.count(queue_name)

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> list[str]:
        taken, self.rings = self.rings, []
        return taken


class Office:
    """Asks for things as the API does, and does them as a runner does, without any process."""

    def __init__(self, database: Database, store: LocalStore, directory: Path) -> None:
        self.database = database
        self.store = store
        self.directory = directory
        self.doorbell = RememberingDoorbell()

    def upload(self, *, num_bytes: int = 3) -> str:
        with self.database.unit_of_work(write=True) as uow:
            file = File(filename="a.txt", purpose="pretrain", num_bytes=num_bytes, sha256="0" * 64)
            uow.files.add(file)
            uow.commit()
        return file.id

    def new_corpus(
        self,
        *,
        sizes: Sequence[int] = (3,),
        extends: str | None = None,
        options: CorpusOptions | None = None,
    ) -> Corpus:
        file_ids = [self.upload(num_bytes=size) for size in sizes]
        with self.database.unit_of_work(write=True) as uow:
            corpus = corpora.create(
                uow,
                file_ids=file_ids,
                options=options or CorpusOptions(),
                extends=extends,
                doorbell=self.doorbell,
            )
            uow.commit()
        return corpus

    def ready_corpus(self) -> Corpus:
        corpus = self.new_corpus()
        self.finish_corpus(self.claim("corpus"))
        self.doorbell.take()
        return self.corpus(corpus.id)

    def new_job(self, corpus: str | list[dict[str, Any]], **request: Any) -> Job:
        body = {"corpus": corpus, "model": "tiny", "budget": {"steps": 10}, **request}
        with self.database.unit_of_work(write=True) as uow:
            job = jobs.create(uow, JobRequest.model_validate(body), doorbell=self.doorbell)
            uow.commit()
        return job

    def try_claim(self, *queues: str, pid: int | None = None) -> Claim | None:
        with self.database.unit_of_work(project_id=None, write=True) as uow:
            claim = attempts.begin(
                uow,
                queues=queues,
                process=ProcessIdentity.of(pid or os.getpid()),
                lease_seconds=30,
            )
            uow.commit()
        return claim

    def claim(self, *queues: str, pid: int | None = None) -> Claim:
        claim = self.try_claim(*queues, pid=pid)
        assert claim is not None
        return claim

    def try_claim_piece(self, whole: Claim) -> Claim | None:
        with self.database.unit_of_work(project_id=None, write=True) as uow:
            claim = attempts.begin_piece(
                uow,
                parent_id=whole.subject_id,
                process=ProcessIdentity.of(os.getpid()),
                lease_seconds=30,
            )
            uow.commit()
        return claim

    def claim_piece(self, whole: Claim) -> Claim:
        claim = self.try_claim_piece(whole)
        assert claim is not None
        return claim

    def finish_corpus(self, claim: Claim, *, digest: str = "c" * 64) -> None:
        with self.database.unit_of_work(write=True) as uow:
            corpus = uow.corpora.get(claim.subject_id)
            made = self.made_tokenizer()
            making.finish_default_tokenizer(uow, claim, made)
            dataset = datasets.begin(
                uow,
                corpus_id=corpus.id,
                tokenizer_id=corpus.default_tokenizer_id or "",
                corpus_digest=digest,
                tokenizer_sha256=made.sha256,
            )
            making.finish_corpus(
                uow,
                claim,
                corpus=making.MadeCorpus(
                    digest=digest,
                    stats={"num_documents": 10},
                    splits={
                        "train": {"num_documents": 9, "num_bytes": 200_000},
                        "validation": {"num_documents": 1, "num_bytes": 4_000},
                    },
                ),
                dataset=making.MadeDataset(id=dataset.id, manifest=DATASET_MANIFEST),
                doorbell=self.doorbell,
            )
            uow.commit()

    def made_tokenizer(self, vocab_size: int = 512) -> making.MadeTokenizer:
        return making.MadeTokenizer(
            vocab_size=vocab_size, sha256=f"{vocab_size:064}", stats={"bytes_per_token": 3.9}
        )

    def finish_tokenizer(self, claim: Claim, *, vocab_size: int) -> None:
        with self.database.unit_of_work(write=True) as uow:
            making.finish_tokenizer(
                uow, claim, tokenizer=self.made_tokenizer(vocab_size), doorbell=self.doorbell
            )
            uow.commit()

    def finish_dataset(self, claim: Claim) -> None:
        with self.database.unit_of_work(write=True) as uow:
            making.start(uow, claim)
            made = making.MadeDataset(id=claim.subject_id, manifest=DATASET_MANIFEST)
            making.finish_dataset(uow, claim, dataset=made, doorbell=self.doorbell)
            uow.commit()

    def commit_checkpoint(
        self,
        claim: Claim,
        *,
        step: int,
        loss: float | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> str:
        prefix = keys.checkpoint(claim.subject_id, step, claim.fence)
        objects = []
        for name in ("model.safetensors", "manifest.json"):
            writer = self.store.writer(prefix + name)
            writer.write(f"{name} {step}".encode())
            objects.append(writer.commit())
        if metrics is None:
            metrics = {} if loss is None else {"validation/loss": loss}
        with self.database.unit_of_work(write=True) as uow:
            stored = StoredCheckpoint(
                step=step, tokens=step * 10, prefix=prefix, metrics=metrics, objects=objects
            )
            checkpoint = checkpoints.commit(uow, claim, stored)
            uow.commit()
        return checkpoint.id

    def steps_saved(self, job_id: str) -> list[int]:
        """The steps of the complete checkpoints; what the store holds must agree."""
        with self.database.unit_of_work() as uow:
            complete = uow.checkpoints.of_job(job_id)
        stored = {
            key.key.rpartition("/")[0] for key in self.store.list(keys.job_checkpoints(job_id))
        }
        assert stored == {checkpoint.prefix.rstrip("/") for checkpoint in complete}
        return [checkpoint.step for checkpoint in complete]

    def job(self, job_id: str) -> Job:
        with self.database.unit_of_work() as uow:
            return uow.jobs.get(job_id)

    def corpus(self, corpus_id: str) -> Corpus:
        with self.database.unit_of_work() as uow:
            return uow.corpora.get(corpus_id)

    def tokenizer(self, tokenizer_id: str) -> Tokenizer:
        with self.database.unit_of_work() as uow:
            return uow.tokenizers.get(tokenizer_id)

    def events(self, job_id: str | None = None) -> list[str]:
        with self.database.unit_of_work() as uow:
            return [event.type for event in uow.events.read_after(0, job_id=job_id)]

    def outcomes(self, subject_id: str) -> list[str | None]:
        with self.database.unit_of_work() as uow:
            page = uow.attempts.page(subject_id=subject_id, order="asc")
            return [attempt.outcome for attempt in page.items]


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    return Office(database, LocalStore(tmp_path / "store"), tmp_path)
