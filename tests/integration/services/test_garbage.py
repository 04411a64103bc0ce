"""What the store still has when no row refers to it any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.errors import LeaseLost
from core.ids import new_id
from core.lifecycle import WorkKind
from db.tables import Blob, Corpus, Dataset, Reservation
from db.unit_of_work import UnitOfWork
from services import corpora, datasets, garbage, job_changes, making, pieces, tokenizers
from storage import keys
from tests.integration.fakes import FakeClock
from tests.integration.services.conftest import DATASET_MANIFEST, Office


def put(office: Office, key: str) -> None:
    writer = office.store.writer(key)
    writer.write(b"bytes")
    writer.commit()


def stored(office: Office) -> set[str]:
    return {item.key for item in office.store.list("")}


def collect(office: Office, **settings: timedelta) -> int:
    return garbage.collect(office.database, store=office.store, **settings)


@pytest.mark.parametrize(
    "key",
    [
        keys.file_blob(new_id("blob")),
        f"{keys.corpus(new_id('corpus'))}documents/train-00000.jsonl.zst",
        keys.tokenizer_file(new_id("tokenizer")),
        f"{keys.dataset(new_id('dataset'))}manifest.json",
        f"{keys.piece_attempt(new_id('piece'), 3)}facts.bin",
    ],
)
def test_what_no_row_refers_to_goes_once_it_is_old(office: Office, key: str) -> None:
    put(office, key)
    assert collect(office, older_than=timedelta(days=36_500)) == 0
    assert stored(office) == {key}
    assert collect(office) == 1
    assert stored(office) == set()


def test_what_a_row_refers_to_stays(office: Office) -> None:
    corpus = office.ready_corpus()
    with office.database.unit_of_work(write=True) as uow:
        blob = uow.blobs.add(Blob(key="", num_bytes=5, sha256="0" * 64))
        blob.key = keys.file_blob(blob.id)
        [dataset] = uow.datasets.of_corpus(corpus.id, digest=corpus.digest)
        uow.commit()
    needed = {
        blob.key,
        f"{keys.corpus(corpus.id)}manifest.json",
        keys.tokenizer_file(corpus.default_tokenizer_id or ""),
        f"{dataset.prefix}manifest.json",
    }
    for key in needed:
        put(office, key)
    assert collect(office) == 0
    assert stored(office) == needed


def test_only_the_attempt_at_a_piece_that_counts_or_may_yet_count_is_kept(
    office: Office, clock: FakeClock
) -> None:
    office.new_corpus()
    whole = office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        [piece] = pieces.plan_reading(
            uow, whole, bytes_per_piece=64_000_000, doorbell=office.doorbell
        )
        uow.commit()
    fences = []
    for _ in range(2):
        fences.append(office.claim_piece(whole).fence)
        put(office, f"{keys.piece_attempt(piece.id, fences[-1])}facts.bin")
        clock.advance(31)
    last = office.claim_piece(whole)
    assert collect(office) == 0, "the first has been abandoned only just now"
    clock.advance(3600)
    assert collect(office) == 2
    with office.database.unit_of_work(write=True) as uow:
        prefix = keys.piece_attempt(piece.id, last.fence)
        put(office, f"{prefix}facts.bin")
        pieces.finish(uow, last, prefix=prefix, result={})
        uow.commit()
    clock.advance(3700)
    assert collect(office) == 0
    assert stored(office) == {f"{prefix}facts.bin"}


def test_bytes_of_an_upload_that_goes_on_are_nobodys_garbage(office: Office) -> None:
    put(office, keys.file_blob("blob_1"))
    with office.database.unit_of_work(write=True) as uow:
        held = Reservation(
            num_bytes=5,
            is_announced=True,
            until=uow.now() + timedelta(hours=1),
            host="here",
            pid=1,
            pid_started=1,
            boot_id="b",
        )
        uow.reservations.add(held)
        held.created_at = uow.now() - timedelta(days=36_500)
        uow.commit()
    assert collect(office) == 0


def test_dataset_whose_tokenizer_was_deleted_goes_with_its_bytes(office: Office) -> None:
    corpus = office.ready_corpus()
    job = office.new_job(corpus.id, tokenizer={"vocab_size": 1024})
    office.finish_tokenizer(office.claim("corpus"), vocab_size=1024)
    claim = office.claim("corpus")
    office.finish_dataset(claim)
    put(office, f"{keys.dataset(claim.subject_id)}manifest.json")
    assert garbage.forget_datasets(office.database, store=office.store) == 0
    with office.database.unit_of_work(write=True) as uow:
        uow.tokenizers.delete(uow.tokenizers.get(office.job(job.id).tokenizer_id or ""))
        uow.commit()
    assert garbage.forget_datasets(office.database, store=office.store) == 1
    assert stored(office) == set()


def test_dataset_goes_with_the_last_tokenizer_that_gives_it(office: Office) -> None:
    corpus = office.ready_corpus()
    with office.database.unit_of_work(write=True) as uow:
        twin = tokenizers.create(
            uow, corpus_id=corpus.id, vocab_size=1024, doorbell=office.doorbell
        )
        uow.commit()
    office.finish_tokenizer(office.claim("corpus"), vocab_size=1024)
    job = office.new_job(corpus.id, tokenizer={"algorithm": "unigram"})
    office.finish_tokenizer(office.claim("corpus"), vocab_size=1024)
    claim = office.claim("corpus")
    office.finish_dataset(claim)
    put(office, f"{keys.dataset(claim.subject_id)}manifest.json")
    with office.database.unit_of_work(write=True) as uow:
        job_changes.cancel(uow, job.id)
        for tokenizer_id, num_left in ((office.job(job.id).tokenizer_id, 1), (twin.id, 0)):
            tokenizers.delete(uow, tokenizer_id or "", store=office.store)
            assert len(uow.datasets.of_corpus(corpus.id, digest=corpus.digest)) == 1 + num_left
        uow.commit()
    assert stored(office) == set()
    assert garbage.forget_datasets(office.database, store=office.store) == 0


def test_dataset_stays_for_the_twin_of_its_corpus(office: Office) -> None:
    first, twin = office.ready_corpus(), office.ready_corpus()
    assert first.digest == twin.digest
    with office.database.unit_of_work() as uow:
        [dataset] = uow.datasets.of_corpus(twin.id, digest=twin.digest)
    assert dataset.corpus_id == first.id
    put(office, f"{dataset.prefix}manifest.json")
    with office.database.unit_of_work(write=True) as uow:
        corpora.delete(uow, first.id, store=office.store)
        uow.commit()
    assert collect(office) == 0
    with office.database.unit_of_work(write=True) as uow:
        assert datasets.parents(uow, dataset).corpus_id == twin.id
        corpora.delete(uow, twin.id, store=office.store)
        uow.commit()
    assert stored(office) == set()


def test_corpus_that_is_deleted_while_it_is_encoded_leaves_no_dataset_without_bytes(
    office: Office,
) -> None:
    first = office.new_corpus()
    claim = office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        made = office.made_tokenizer()
        making.finish_default_tokenizer(uow, claim, made)
        dataset = begin_dataset(uow, first, made)
        uow.commit()
    put(office, f"{dataset.prefix}train-00000.tokens.bin")
    with office.database.unit_of_work(write=True) as uow:
        corpora.delete(uow, first.id, store=office.store)
        uow.commit()
    assert stored(office) == set()
    second = office.ready_corpus()  # of the same content, and so with a dataset of one digest
    with office.database.unit_of_work(write=True) as uow:
        [other] = uow.datasets.of_corpus(second.id, digest=second.digest)
        assert other.digest == dataset.digest
        assert other.prefix != dataset.prefix
        with pytest.raises(LeaseLost):
            datasets.finish(uow, dataset.id, manifest=DATASET_MANIFEST)
    put(office, f"{dataset.prefix}train-00001.tokens.bin")  # by whoever had not noticed
    assert collect(office) == 1


def test_dataset_that_a_deleted_corpus_began_stays_for_the_twin_that_is_encoding_it(
    office: Office,
) -> None:
    first, twin = office.new_corpus(), office.new_corpus()
    first_claim, twin_claim = office.claim("corpus"), office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        for corpus, claim in ((first, first_claim), (twin, twin_claim)):
            made = office.made_tokenizer()
            making.assembled(uow, claim, digest="c" * 64)
            making.finish_default_tokenizer(uow, claim, made)
            begun = begin_dataset(uow, corpus, made)
        uow.commit()
    put(office, f"{begun.prefix}train-00000.tokens.bin")
    with office.database.unit_of_work(write=True) as uow:
        corpora.delete(uow, first.id, store=office.store)
        uow.commit()
    assert stored(office) == {f"{begun.prefix}train-00000.tokens.bin"}
    with office.database.unit_of_work(write=True) as uow:
        making.fail(uow, twin_claim, code="x", message="no text")
        uow.commit()
    with office.database.unit_of_work() as uow:
        assert uow.datasets.count() == 0, "the last that could need it has gone"


def test_bytes_of_a_corpus_that_failed_halfway_go(office: Office) -> None:
    corpus = office.new_corpus()
    claim = office.claim("corpus")
    put(office, f"{keys.corpus(corpus.id)}manifest.json")
    put(office, keys.tokenizer_file(corpus.default_tokenizer_id or ""))
    assert collect(office) == 0
    with office.database.unit_of_work(write=True) as uow:
        making.fail(uow, claim, code="x", message="no text")
        uow.commit()
    assert collect(office) == 2
    assert stored(office) == set()


def test_job_that_needs_what_a_twin_is_just_making_is_not_left_waiting_when_that_fails(
    office: Office,
) -> None:
    ready = office.ready_corpus()
    with office.database.unit_of_work(write=True) as uow:
        [lost] = uow.datasets.of_corpus(ready.id, digest=ready.digest)
        datasets.delete(uow, lost, store=office.store)
        uow.commit()
    twin = office.new_corpus()
    making_twin = office.claim("corpus")
    with office.database.unit_of_work(write=True) as uow:
        made = office.made_tokenizer()
        making.finish_default_tokenizer(uow, making_twin, made)
        begun = begin_dataset(uow, twin, made)
        uow.commit()
    job = office.new_job(ready.id)
    with office.database.unit_of_work(write=True) as uow:
        making.fail(uow, making_twin, code="x", message="no text")
        uow.commit()
    claim = office.claim("corpus")
    assert (claim.kind, claim.subject_id) == (WorkKind.DATASET, begun.id)
    office.finish_dataset(claim)
    assert office.claim("train.1").subject_id == job.id


def begin_dataset(uow: UnitOfWork, corpus: Corpus, made: making.MadeTokenizer) -> Dataset:
    return datasets.begin(
        uow,
        corpus_id=corpus.id,
        tokenizer_id=corpus.default_tokenizer_id or "",
        corpus_digest="c" * 64,
        tokenizer_sha256=made.sha256,
    )
