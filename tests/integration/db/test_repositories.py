from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from sqlalchemy.exc import IntegrityError

from core.errors import NotFound
from core.lifecycle import CheckpointStatus, JobStatus, ResourceStatus, WorkKind
from db.engine import Database
from db.tables import (
    Attempt,
    Blob,
    Checkpoint,
    CheckpointFile,
    Corpus,
    Dataset,
    File,
    Job,
    Tokenizer,
    Work,
)
from db.unit_of_work import UnitOfWork
from tests.integration.fakes import FakeClock


def new_job(name: str = "job", **columns: Any) -> Job:
    return Job(name=name, **({"request": {}} | columns))


def new_blob(key: str, sha256: str = "aa") -> Blob:
    return Blob(key=key, num_bytes=3, sha256=sha256)


def new_file(name: str = "a.txt", **columns: Any) -> File:
    defaults: dict[str, Any] = {"purpose": "pretrain", "num_bytes": 3, "sha256": "aa"}
    return File(filename=name, **(defaults | columns))


def new_checkpoint(job_id: str, step: int, *, fence: int = 1, **columns: Any) -> Checkpoint:
    return Checkpoint(
        job_id=job_id,
        step=step,
        tokens=step * 10,
        fence=fence,
        prefix=f"checkpoints/{job_id}/{step}-{fence}/",
        num_bytes=7,
        manifest_sha256="aa",
        **columns,
    )


@pytest.fixture
def uow(database: Database) -> Any:
    with database.unit_of_work(write=True) as unit:
        yield unit


def test_pages_cover_the_list_once_in_either_order(uow: UnitOfWork) -> None:
    ids = [uow.jobs.add(new_job()).id for _ in range(5)]
    orders: dict[Literal["asc", "desc"], list[str]] = {"asc": ids, "desc": ids[::-1]}
    for order, expected in orders.items():
        seen: list[str] = []
        more = True
        while more:
            page = uow.jobs.page(limit=2, after=seen[-1] if seen else None, order=order)
            seen += [job.id for job in page.items]
            more = page.has_more
        assert seen == expected


def test_a_page_that_ends_with_the_list_has_no_more(uow: UnitOfWork) -> None:
    for _ in range(2):
        uow.jobs.add(new_job())
    assert not uow.jobs.page(limit=2).has_more
    assert uow.jobs.page(limit=1).has_more


@pytest.mark.parametrize("key", ["team", 'qu"ote', "$.x[0]", "a'b", "%", "NUL\0"])
def test_metadata_finds_exactly_the_rows_with_the_pair(uow: UnitOfWork, key: str) -> None:
    wanted = uow.jobs.add(new_job(metadata_={key: "red", "more": "1"}))
    uow.jobs.add(new_job(metadata_={key: "blue"}))
    uow.jobs.add(new_job(metadata_={"other": "red"}))
    uow.jobs.add(new_job())
    assert [job.id for job in uow.jobs.page(metadata={key: "red"}).items] == [wanted.id]
    assert uow.jobs.page(metadata={key: "red", "more": "2"}).items == []
    assert len(uow.jobs.page(metadata={}).items) == 4


def test_jobs_are_filtered_by_status_and_name(uow: UnitOfWork) -> None:
    queued = uow.jobs.add(new_job("a"))
    failed = uow.jobs.add(new_job("b", status=JobStatus.FAILED))
    assert [job.id for job in uow.jobs.page(statuses=[JobStatus.FAILED]).items] == [failed.id]
    assert [job.id for job in uow.jobs.page(name="a").items] == [queued.id]
    assert uow.jobs.unfinished_with(tokenizer_id="tokenizer_1") == []


def test_unfinished_jobs_are_found_by_each_of_their_corpora(uow: UnitOfWork) -> None:
    mixed = uow.jobs.add_with_corpora(new_job(), ["corpus_2", "corpus_1"])
    alone = uow.jobs.add_with_corpora(new_job(), ["corpus_1"])
    uow.jobs.add_with_corpora(new_job(status=JobStatus.FAILED), ["corpus_1"])
    assert uow.jobs.corpus_ids(mixed.id) == ["corpus_2", "corpus_1"]
    assert uow.jobs.unfinished_with(corpus_id="corpus_1") == [mixed, alone]
    assert uow.jobs.unfinished_with(corpus_id="corpus_2") == [mixed]
    uow.jobs.delete(mixed)
    assert uow.jobs.unfinished_with(corpus_id="corpus_2") == []


def test_a_name_means_the_newest_job_that_bears_it(uow: UnitOfWork) -> None:
    older, newer = uow.jobs.add(new_job("a")), uow.jobs.add(new_job("a"))
    uow.checkpoints.add(new_checkpoint(older.id, 1))
    uow.checkpoints.add(new_checkpoint(newer.id, 1, status=CheckpointStatus.DELETED))
    assert uow.jobs.find_newest_named("a") is newer
    assert uow.jobs.find_newest_named("a", with_checkpoint=True) is older
    assert uow.jobs.find_newest_named("b") is None


def test_text_that_postgresql_refuses_is_stored_with_a_mark(uow: UnitOfWork) -> None:
    job = uow.jobs.add(
        new_job("a\0b\ud800", error={"message": "x\0", "nan": float("nan"), "k\0": ["\udfff"]})
    )
    uow.session.refresh(job)
    assert job.name == "a\ufffdb\ufffd"
    assert job.error == {"message": "x\ufffd", "nan": None, "k\ufffd": ["\ufffd"]}
    assert uow.jobs.find("job_\0") is None


def test_numbers_and_the_order_of_keys_survive_json(uow: UnitOfWork) -> None:
    request = {"z": 1e16, "a": 1.0, "m": [2**60, 0.1, 5e-324, True, None, "é"]}
    job = uow.jobs.add(new_job(request=request))
    uow.session.expire(job)
    assert repr(job.request) == repr(request)


def test_a_file_is_its_blobs_in_order_and_blobs_are_shared(uow: UnitOfWork) -> None:
    first, second = uow.blobs.add(new_blob("files/1")), uow.blobs.add(new_blob("files/2", "bb"))
    file = uow.files.add_with_pieces(new_file(), [second.id, first.id, second.id])
    uow.files.add_with_pieces(new_file(), [first.id])
    assert uow.files.pieces(file.id) == [second, first, second]
    assert uow.blobs.find_by_digest("aa", num_bytes=3) is first
    assert uow.blobs.find_by_digest("aa", num_bytes=4) is None


def test_bytes_go_with_the_last_file_that_refers_to_them(uow: UnitOfWork) -> None:
    shared, own = uow.blobs.add(new_blob("files/1")), uow.blobs.add(new_blob("files/2"))
    first = uow.files.add_with_pieces(new_file(), [shared.id, own.id])
    last = uow.files.add_with_pieces(new_file(), [shared.id])
    uow.files.delete(first)
    assert uow.blobs.delete_unreferenced([shared.id, own.id]) == ["files/2"]
    uow.files.delete(last)
    assert uow.blobs.delete_unreferenced([shared.id, own.id]) == ["files/1"]


def test_a_blob_in_use_cannot_be_deleted(uow: UnitOfWork) -> None:
    blob = uow.blobs.add(new_blob("files/1"))
    uow.files.add_with_pieces(new_file(), [blob.id])
    with pytest.raises(IntegrityError):
        uow.blobs.delete(blob)


def test_files_are_found_by_purpose_and_by_id(uow: UnitOfWork) -> None:
    first = uow.files.add(new_file())
    other = uow.files.add(new_file(purpose="other"))
    assert uow.files.page(purpose="other").items == [other]
    assert uow.files.get_many([first.id, "file_none"]) == {first.id: first}


def test_a_corpus_remembers_its_files_in_order(uow: UnitOfWork) -> None:
    corpus = uow.corpora.add_with_files(Corpus(name="c", options={}), ["file_2", "file_1"])
    other = uow.corpora.add_with_files(
        Corpus(name="d", options={}, status=ResourceStatus.READY), ["file_2"]
    )
    assert uow.corpora.file_ids(corpus.id) == ["file_2", "file_1"]
    assert uow.corpora.file_ids_of([corpus.id, other.id])[other.id] == ["file_2"]
    assert uow.corpora.made_of("file_1") == [corpus]
    assert uow.corpora.page(status=ResourceStatus.READY).items == [other]
    uow.corpora.delete(corpus)
    assert uow.corpora.made_of("file_1") == []


def test_a_tokenizer_is_found_again_by_its_recipe(uow: UnitOfWork) -> None:
    def add(vocab_size: int | None, **columns: Any) -> Tokenizer:
        return uow.tokenizers.add(
            Tokenizer(
                name="t",
                corpus_id="corpus_1",
                algorithm="bpe",
                requested_vocab_size=vocab_size,
                **columns,
            )
        )

    add(4096, status=ResourceStatus.FAILED)
    add(None, file_id="file_1", status=ResourceStatus.READY)  # uploaded, only measured on it
    default, sized = add(None), add(4096)

    def find(vocab_size: int | None) -> Tokenizer | None:
        return uow.tokenizers.find_made(
            corpus_id="corpus_1", algorithm="bpe", vocab_size=vocab_size
        )

    assert (find(None), find(4096), find(8192)) == (default, sized, None)
    assert len(uow.tokenizers.of_corpus("corpus_1")) == 4
    assert len(uow.tokenizers.page(corpus_id="corpus_1").items) == 4


def test_a_dataset_is_kept_once_in_a_project_and_apart_from_those_of_others(
    database: Database, other_project: str
) -> None:
    def add(unit: UnitOfWork) -> tuple[Dataset, bool]:
        return unit.datasets.add_once(
            Dataset(
                digest="dd",
                corpus_digest="cc",
                tokenizer_sha256="tt",
                corpus_id="corpus_1",
                tokenizer_id="tokenizer_1",
                prefix="datasets/dd/",
            )
        )

    with database.unit_of_work(write=True) as uow:
        first, is_new = add(uow)
        assert is_new
        again, is_new = add(uow)
        assert again is first
        assert not is_new
        assert uow.datasets.find_ready("dd") is None
        first.status = ResourceStatus.READY
        uow.commit()
    with database.unit_of_work(other_project, write=True) as uow:
        assert uow.datasets.find_by_digest("dd") is None
        theirs, is_new = add(uow)
        assert is_new
        uow.datasets.delete(theirs)
        uow.commit()
    with database.unit_of_work(write=True) as uow:
        assert uow.datasets.find_ready("dd") is not None
        assert uow.datasets.of_corpus("corpus_2", digest="cc") == [
            *uow.datasets.of_corpus("corpus_1", digest=None)
        ]
        assert uow.datasets.of_corpus("corpus_2", digest=None) == []


def test_the_latest_checkpoint_is_the_complete_one_of_the_last_step(uow: UnitOfWork) -> None:
    job = uow.jobs.add(new_job())
    old = uow.checkpoints.add(new_checkpoint(job.id, 100))
    redone = uow.checkpoints.add(new_checkpoint(job.id, 200, fence=2))
    uow.checkpoints.add(new_checkpoint(job.id, 200, fence=1))
    bad = uow.checkpoints.add(new_checkpoint(job.id, 300, status=CheckpointStatus.CORRUPT))
    assert uow.checkpoints.find_latest(job.id) is redone
    assert uow.checkpoints.find_latest(job.id, step=100) is old
    assert uow.checkpoints.find_latest(job.id, step=300) is None
    assert [each.step for each in uow.checkpoints.of_job(job.id)] == [100, 200, 200]
    assert bad not in uow.checkpoints.page(job_id=job.id).items
    assert uow.checkpoints.page(status=CheckpointStatus.CORRUPT).items == [bad]


def test_a_checkpoint_knows_its_files_and_takes_them_along(uow: UnitOfWork) -> None:
    checkpoint = new_checkpoint("job_1", 1)
    names = ["model.safetensors", "config.json", "training_state/state.json"]
    uow.checkpoints.add(checkpoint)
    uow.checkpoints.add_files(
        [
            CheckpointFile(checkpoint_id=checkpoint.id, name=name, num_bytes=1, sha256="aa")
            for name in names
        ],
    )
    assert [file.name for file in uow.checkpoints.files(checkpoint.id)] == sorted(names)
    assert uow.checkpoints.find_file(checkpoint.id, "config.json") is not None
    assert uow.checkpoints.find_file(checkpoint.id, "../config.json") is None
    uow.checkpoints.delete(checkpoint)
    assert uow.checkpoints.files(checkpoint.id) == []


def test_attempts_are_counted_and_the_unfinished_ones_found(
    uow: UnitOfWork, clock: FakeClock, add_attempt: Callable[..., Attempt]
) -> None:
    done, left = add_attempt(number=1, finished_at=clock.now()), add_attempt(number=2)
    assert uow.attempts.unfinished("job_1") == [left]
    assert uow.attempts.find_latest("job_1") is left
    assert uow.attempts.count_of("job_1") == 2
    assert uow.attempts.page(subject_id="job_1", order="asc").items == [done, left]


@pytest.fixture
def add_attempt(uow: UnitOfWork, clock: FakeClock) -> Callable[..., Attempt]:
    work = uow.work.add(Work(kind=WorkKind.JOB, subject_id="job_1", queue="train.1"))

    def add(*, number: int, **columns: Any) -> Attempt:
        return uow.attempts.add(
            Attempt(
                work_id=work.id,
                subject_id="job_1",
                number=number,
                fence=number,
                owner="worker-1",
                host="here",
                pid=1,
                pid_started=1.5,
                boot_id="boot",
                started_at=clock.now(),
                **columns,
            )
        )

    return add


def test_events_are_paged_by_id_and_filtered_by_job_and_type(database: Database) -> None:
    with database.unit_of_work(write=True) as uow:
        for job_id, kind in (("job_1", "a"), ("job_2", "a"), ("job_1", "b"), (None, "b")):
            uow.record_event(kind, message=kind, job_id=job_id)
        uow.commit()
    with database.unit_of_work() as uow:
        first = uow.events.page(limit=2, order="asc")
        assert ([event.number for event in first.items], first.has_more) == ([1, 2], True)
        rest = uow.events.page(limit=2, order="asc", after=first.items[-1].id)
        assert ([event.number for event in rest.items], rest.has_more) == ([3, 4], False)
        assert [event.number for event in uow.events.page(job_id="job_1").items] == [3, 1]
        assert [event.number for event in uow.events.page(types=["b"]).items] == [4, 3]
        assert [event.number for event in uow.events.read_after(1, job_id="job_1")] == [3]
        assert uow.events.latest_number(job_id="job_2") == 2
        assert uow.projects.event_counters([uow.project_id]) == {uow.project_id: 4}


def test_what_another_project_owns_does_not_exist(database: Database, other_project: str) -> None:
    with database.unit_of_work(write=True) as uow:
        job = uow.jobs.add_with_corpora(new_job("mine", metadata_={"a": "b"}), ["corpus_1"])
        blob = uow.blobs.add(new_blob("files/1"))
        file = uow.files.add_with_pieces(new_file(), [blob.id])
        corpus = uow.corpora.add_with_files(Corpus(name="c", options={}), [file.id])
        tokenizer = uow.tokenizers.add(
            Tokenizer(name="t", corpus_id=corpus.id, algorithm="bpe", requested_vocab_size=None)
        )
        checkpoint = new_checkpoint(job.id, 1)
        uow.checkpoints.add(checkpoint)
        uow.checkpoints.add_files(
            [CheckpointFile(checkpoint_id=checkpoint.id, name="a", num_bytes=1, sha256="aa")]
        )
        uow.work.add(Work(kind=WorkKind.JOB, subject_id=job.id, queue="train.1"))
        uow.probes.record(job.id, step=1, continuations=[], fillings=[])
        uow.record_event("job.queued", message="queued", job_id=job.id)
        uow.commit()
    with database.unit_of_work(other_project, write=True) as uow:
        for repository, row in (
            (uow.jobs, job),
            (uow.files, file),
            (uow.corpora, corpus),
            (uow.tokenizers, tokenizer),
            (uow.checkpoints, checkpoint),
            (uow.blobs, blob),
        ):
            assert repository.find(row.id) is None
            assert repository.count() == 0
            with pytest.raises(NotFound, match=row.id):
                repository.get(row.id)
        for page in (
            uow.jobs.page(),
            uow.jobs.page(metadata={"a": "b"}),
            uow.files.page(),
            uow.corpora.page(),
            uow.tokenizers.page(),
            uow.checkpoints.page(),
            uow.checkpoints.page(job_id=job.id),
            uow.attempts.page(subject_id=job.id),
            uow.events.page(),
            uow.probes.page(job_id=job.id),
        ):
            assert page.items == []
        nothing = [
            uow.jobs.find_newest_named("mine"),
            uow.jobs.unfinished_with(corpus_id="corpus_1"),
            uow.jobs.corpus_ids(job.id),
            uow.files.pieces(file.id),
            uow.files.get_many([file.id]),
            uow.corpora.file_ids(corpus.id),
            uow.corpora.made_of(file.id),
            uow.tokenizers.of_corpus(corpus.id),
            uow.checkpoints.of_job(job.id),
            uow.checkpoints.find_latest(job.id),
            uow.checkpoints.files(checkpoint.id),
            uow.checkpoints.find_file(checkpoint.id, "a"),
            uow.blobs.find_by_digest("aa", num_bytes=3),
            uow.blobs.delete_unreferenced([blob.id]),
            uow.work.find_for(job.id),
            uow.metrics.read(job.id),
            uow.events.read_after(0),
            uow.events.latest_number(),
        ]
        assert not any(nothing)
        with pytest.raises(NotFound):
            uow.metrics.record(job.id, [])


def test_what_is_said_again_at_a_step_takes_the_place_of_what_was_said(database: Database) -> None:
    with database.unit_of_work(write=True) as uow:
        job = uow.jobs.add(new_job())
        for step, text in ((0, "a"), (5, "b"), (10, "c"), (5, "d")):
            said = [{"prompt": "p", "text": text}]
            uow.probes.record(job.id, step=step, continuations=said, fillings=[])
        uow.commit()
    with database.unit_of_work() as uow:
        newest = uow.probes.page(job_id=job.id, limit=2)
        assert newest.has_more
        assert [probe.step for probe in newest.items] == [10, 5]
        assert newest.items[1].continuations == [{"prompt": "p", "text": "d"}]
        oldest = uow.probes.page(job_id=job.id, after=newest.items[-1].id)
        assert [probe.step for probe in oldest.items] == [0]
    with database.unit_of_work(write=True) as uow:
        uow.jobs.delete(uow.jobs.get(job.id))
        uow.commit()
    with database.unit_of_work() as uow:
        assert uow.probes.count() == 0
