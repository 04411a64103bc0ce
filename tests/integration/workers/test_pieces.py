"""Corpora made in pieces by real processes: shared, killed at every stage, extended."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from contextlib import suppress

import pytest

from core.corpus_options import CorpusOptions
from core.lifecycle import PieceStage, ResourceStatus, WorkKind
from core.processes import ProcessIdentity
from corpora.documents import iter_documents
from corpora.split_names import SPLIT_NAMES
from db.tables import Attempt, Corpus, Work
from services import corpora
from services.reconcile import free_leases_of_the_dead
from storage import keys
from tests.integration.workers.conftest import House, story

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
on_sqlite = pytest.mark.parametrize("engine_name", ["sqlite"])
on_postgresql = pytest.mark.parametrize("engine_name", ["postgresql"])

STAGES = ("piece_*", "corpus", "tokenizer", "dataset")
"""Directories that a corpus process makes, each when a stage of its work begins."""


def new_corpus(
    house: House, seeds: range, *, num_sentences: int = 1500, extends: str | None = None
) -> Corpus:
    """A corpus of one story a seed, each of them a piece."""
    house.settings["piece_bytes"] = 1
    file_ids = [house.upload(story(seed, num_sentences), filename=f"{seed}.txt") for seed in seeds]
    with house.database.unit_of_work(write=True) as uow:
        corpus = corpora.create(
            uow,
            file_ids=file_ids,
            options=CorpusOptions(),
            extends=extends,
            doorbell=house.doorbell,
        )
        uow.commit()
    return corpus


def delete(house: House, corpus_id: str) -> None:
    with house.database.unit_of_work(write=True) as uow:
        corpora.delete(uow, corpus_id, store=house.store)
        uow.commit()


def stored(house: House, corpus: Corpus) -> dict[str, str]:
    """What the store has of a corpus, its tokenizer and its dataset: digests by name."""
    row = house.corpus(corpus.id)
    assert row.error is None
    assert row.status is ResourceStatus.READY
    with house.database.unit_of_work() as uow:
        [dataset] = uow.datasets.of_corpus(row.id, digest=row.digest)
    prefixes = {
        "corpus": keys.corpus(row.id),
        "tokenizer": keys.tokenizer(row.default_tokenizer_id or ""),
        "dataset": dataset.prefix,
    }
    return {
        f"{noun}/{item.key.removeprefix(prefix)}": hashlib.sha256(
            b"".join(house.store.open(item.key))
        ).hexdigest()
        for noun, prefix in prefixes.items()
        for item in house.store.list(prefix)
    }


def let_rest_end(house: House) -> None:
    with house.database.unit_of_work(write=True) as uow:
        for work in uow.session.query(Work).filter(Work.not_before.is_not(None)):
            work.not_before = None
        uow.commit()


def child_of(house: House) -> ProcessIdentity | None:
    """The corpus process; None if its runner has no more use for it."""
    for record in (house.directory / "scratch").glob("*/*/child.json"):
        with suppress(FileNotFoundError):
            return ProcessIdentity.from_json(json.loads(record.read_text()))
    return None


def kill_at(house: House, stage: str, *, victim: str) -> None:
    """Kill -9 the runner, or its corpus process, as soon as a stage has begun."""
    runner = house.start("corpus")
    scratch = house.directory / "scratch"
    house.wait_for(
        lambda: runner.poll() is not None or any(scratch.glob(f"*/*/{stage}")), f"{stage} begins"
    )
    if runner.poll() is not None:
        return  # nothing was left to be done, or to be killed at
    if victim == "runner":
        runner.kill()
        runner.wait()
        free_leases_of_the_dead(house.database, doorbell=house.doorbell)
    elif (child := child_of(house)) is not None:
        child.kill_group()
        if stage == "piece_*":  # the coordinator tries the piece again once it has rested
            house.wait_for(
                lambda: rests(house) or runner.poll() is not None, "the killed piece rests"
            )
            let_rest_end(house)
    assert victim == "runner" or house.end_of(runner) == 0
    let_rest_end(house)


def rests(house: House) -> bool:
    with house.database.unit_of_work() as uow:
        return uow.session.query(Work).filter(Work.not_before.is_not(None)).count() > 0


@on_sqlite
def test_corpus_whose_runners_are_killed_is_the_undisturbed_one_to_the_byte(house: House) -> None:
    calm = new_corpus(house, range(2), num_sentences=500)
    assert house.run("corpus") == 0
    undisturbed, digest = stored(house, calm), house.corpus(calm.id).digest
    num_documents = (house.corpus(calm.id).stats or {})["num_documents"]
    delete(house, calm.id)

    hunted = new_corpus(house, range(2), num_sentences=500)
    for stage in ("corpus", "piece_*"):  # of those that are read, then of those that are encoded
        kill_at(house, stage, victim="runner")
    assert house.run("corpus") == 0
    row = house.corpus(hunted.id)
    assert stored(house, hunted) == undisturbed
    assert row.digest == digest
    assert (row.stats or {})["num_documents"] == num_documents
    assert not list((house.directory / "scratch").iterdir())


@pytest.mark.exhaustive
@on_sqlite
@pytest.mark.parametrize("victim", ["runner", "child"])
@pytest.mark.parametrize("stage", STAGES)
def test_each_kill_of_each_process_costs_at_most_the_piece_in_hand(
    house: House, stage: str, victim: str
) -> None:
    calm = new_corpus(house, range(4), num_sentences=20_000)
    assert house.run("corpus") == 0
    undisturbed = stored(house, calm)
    delete(house, calm.id)
    hunted = new_corpus(house, range(4), num_sentences=20_000)
    for _ in range(2):
        kill_at(house, stage, victim=victim)
    house.run("corpus")
    assert stored(house, hunted) == undisturbed
    with house.database.unit_of_work() as uow:
        pieces = uow.pieces.of_corpus(hunted.id)
        attempts = [uow.attempts.count_of(piece.id) for piece in pieces]
    assert sum(attempts) <= len(pieces) + 2


@on_postgresql
def test_workers_that_are_free_make_the_pieces_that_wait(house: House) -> None:
    corpus = new_corpus(house, range(5))
    coordinator = house.start("corpus")
    house.wait_for(lambda: piece_in_hand(house, corpus.id), "the coordinator has begun a piece")
    child = child_of(house)
    assert child is not None
    os.kill(child.pid, signal.SIGSTOP)
    assert house.run("corpus") == 0, "the helper goes on until nothing is left to claim"
    with house.database.unit_of_work() as uow:
        tally = uow.pieces.tally(corpus.id, PieceStage.READ)
        ids = [piece.id for piece in uow.pieces.of_corpus(corpus.id)]
        made = uow.session.query(Attempt).filter(Attempt.subject_id.in_(ids))
        makers = [attempt.pid for attempt in made]
    assert tally.num_pieces == 5
    assert tally.num_ready >= 4
    assert len(makers) == 5, "no piece was begun twice"
    assert len(set(makers)) == 2
    os.kill(child.pid, signal.SIGCONT)
    assert house.end_of(coordinator) == 0
    assert house.corpus(corpus.id).status is ResourceStatus.READY
    with house.database.unit_of_work() as uow:
        told = [event.data for event in uow.events.page(types=["corpus.progress"], limit=100).items]
    assert [data["progress"] for data in told] == sorted(
        (d["progress"] for d in told), reverse=True
    )
    readings = [data for data in told if data["stage"] == "reading"]
    assert {data["total_files"] for data in readings} == {5}
    assert all(data["num_bytes"] <= data["total_bytes"] for data in readings)
    assert readings[-1]["num_bytes"] < readings[-1]["total_bytes"], (
        "told while our child stood still"
    )


@pytest.mark.exhaustive
@on_sqlite
def test_worker_that_is_asked_to_leave_gives_the_whole_and_its_piece_back(house: House) -> None:
    corpus = new_corpus(house, range(3), num_sentences=20_000)
    runner = house.start("corpus")
    house.wait_for(lambda: piece_in_hand(house, corpus.id), "a piece is being made")
    assert house.leave(runner) == 0
    assert house.corpus(corpus.id).status is ResourceStatus.QUEUED
    with house.database.unit_of_work() as uow:
        works = list(uow.session.query(Work).filter(Work.finished_at.is_(None)))
    assert {work.kind for work in works} == {WorkKind.CORPUS, WorkKind.PIECE}
    assert all(work.owner is None and work.num_fruitless == 0 for work in works)


@pytest.mark.exhaustive
@on_sqlite
def test_poison_piece_fails_its_corpus_and_names_its_file(house: House) -> None:
    house.settings["piece_bytes"] = 1
    good = house.upload(story(1))
    bad = house.upload("\x1f\ufffdnot gzip at all", filename="bad.gz")
    with house.database.unit_of_work(write=True) as uow:
        corpus = corpora.create(
            uow,
            file_ids=[good, bad],
            options=CorpusOptions(format="parquet"),
            doorbell=house.doorbell,
        )
        uow.commit()
    assert house.run("corpus") == 0
    failed = house.corpus(corpus.id)
    assert failed.status is ResourceStatus.FAILED
    assert failed.error is not None
    assert failed.error["code"] != "too_many_attempts", "it would be no better another time"
    with house.database.unit_of_work() as uow:
        assert uow.pieces.of_corpus(corpus.id) == []
        assert uow.session.query(Work).filter(Work.finished_at.is_(None)).count() == 0


@on_sqlite
def test_extended_corpus_reads_nothing_old_and_outlives_its_base(house: House) -> None:
    base = new_corpus(house, range(2))
    assert house.run("corpus") == 0
    log = house.directory / "logs" / "attempts" / base.id / "1.log"
    assert log.read_text().count("begins; memory allocator") == 1, "one child does everything"
    for item in list(house.store.list(keys.FILES)):
        house.store.delete(item.key)
    extension = new_corpus(house, range(2, 3), extends=base.id)
    assert house.run("corpus") == 0
    row, old = house.corpus(extension.id), house.corpus(base.id)
    assert row.error is None
    assert (row.stats or {})["num_records"] > (old.stats or {})["num_records"]
    kept, grown = (split_of(house, corpus) for corpus in (base, extension))
    assert kept["validation"] <= grown["validation"]
    assert kept["train"] <= grown["train"]
    delete(house, base.id)
    assert split_of(house, extension) == grown


def split_of(house: House, corpus: Corpus) -> dict[str, set[str]]:
    """The texts of each split."""
    directory = house.store.materialise(keys.corpus(corpus.id), cache=house.directory)
    return {
        name: {document.text for document in iter_documents(directory, name)}
        for name in SPLIT_NAMES
    }


def piece_in_hand(house: House, corpus_id: str) -> bool:
    """Whether a corpus process works on a piece of the corpus."""
    with house.database.unit_of_work() as uow:
        planned = uow.pieces.of_parent(corpus_id, PieceStage.READ)
    is_begun = any(piece.status is ResourceStatus.PROCESSING for piece in planned)
    return is_begun and bool(list((house.directory / "scratch").glob("*/*/child.json")))
