"""Corpora that extend others: what may be asked for, and what both share."""

from __future__ import annotations

from typing import Any

import pytest

from core.corpus_options import CorpusOptions
from core.errors import Conflict, InvalidRequest, NotFound
from core.lifecycle import ResourceStatus
from db.tables import Piece
from services import corpora, files, making, pieces
from services.attempts import Claim
from storage import keys
from tests.integration.services.conftest import Office


def ask(office: Office, file_ids: list[str], *, extends: str | None, **options: Any) -> str:
    with office.database.unit_of_work(write=True) as uow:
        corpus = corpora.create(
            uow,
            file_ids=file_ids,
            options=CorpusOptions(**options),
            extends=extends,
            doorbell=office.doorbell,
        )
        uow.commit()
    return corpus.id


def delete(office: Office, corpus_id: str) -> None:
    with office.database.unit_of_work(write=True) as uow:
        corpora.delete(uow, corpus_id, store=office.store)
        uow.commit()


def plan(office: Office, claim: Claim) -> list[Piece]:
    with office.database.unit_of_work(write=True) as uow:
        planned = pieces.plan_reading(
            uow, claim, bytes_per_piece=64_000_000, doorbell=office.doorbell
        )
        uow.commit()
    return planned


def make(office: Office) -> list[str]:
    """Make the next corpus as workers do; the ids of its pieces, each with a byte in the store."""
    claim = office.claim("corpus")
    planned = plan(office, claim)
    while (piece := office.try_claim_piece(claim)) is not None:
        prefix = keys.piece_attempt(piece.subject_id, piece.fence)
        writer = office.store.writer(f"{prefix}facts.bin")
        writer.write(b"1")
        writer.commit()
        with office.database.unit_of_work(write=True) as uow:
            pieces.finish(uow, piece, prefix=prefix, result={})
            uow.commit()
    office.finish_corpus(claim)
    return [piece.id for piece in planned]


def stored_pieces(office: Office) -> set[str]:
    return {item.key.split("/")[1] for item in office.store.list(keys.PIECES)}


def test_extension_has_the_base_s_options_and_files_and_reads_only_its_own(office: Office) -> None:
    base = office.new_corpus(options=CorpusOptions(validation_fraction=0.2), sizes=[3, 3])
    of_base = make(office)
    extension = office.new_corpus(extends=base.id)
    assert extension.extends_id == base.id
    assert extension.options == base.options
    with office.database.unit_of_work() as uow:
        inherited, own = uow.corpora.file_ids(base.id), uow.corpora.own_file_ids(extension.id)
        assert uow.corpora.file_ids(extension.id) == [*inherited, *own]
    planned = plan(office, office.claim("corpus"))
    assert [piece.id for piece in planned[: len(of_base)]] == of_base
    assert [piece.task["files"] for piece in planned[len(of_base) :]] == [own]


def test_extension_waits_for_its_base_and_fails_with_it(office: Office) -> None:
    base = office.new_corpus()
    extension = office.new_corpus(extends=base.id)
    further = office.new_corpus(extends=extension.id)
    claim = office.claim("corpus")
    assert claim.subject_id == base.id
    assert office.try_claim("corpus") is None
    with office.database.unit_of_work(write=True) as uow:
        making.fail(uow, claim, code="corpus_empty", message="nothing is left")
        uow.commit()
    for corpus in (extension, further):
        failed = office.corpus(corpus.id)
        assert failed.status is ResourceStatus.FAILED
        assert failed.error is not None
        assert (failed.error["code"], failed.error["param"]) == ("corpus_failed", "extends")
    with pytest.raises(Conflict) as refused:
        ask(office, [office.upload()], extends=base.id)
    assert (refused.value.error_code, refused.value.param) == ("corpus_failed", "extends")


def test_extension_goes_on_as_soon_as_its_base_is_ready(office: Office) -> None:
    base = office.new_corpus()
    extension = office.new_corpus(extends=base.id)
    office.doorbell.take()
    make(office)
    assert office.doorbell.take() == ["corpus"]
    assert office.claim("corpus").subject_id == extension.id


def test_options_that_are_not_the_base_s_are_refused_by_name(office: Office) -> None:
    base = office.ready_corpus()
    with pytest.raises(InvalidRequest, match="Leave deduplicate out") as refused:
        ask(office, [office.upload()], extends=base.id, deduplicate="none")
    assert refused.value.param == "deduplicate"
    assert ask(office, [office.upload()], extends=base.id, deduplicate="exact", clean="light")


def test_file_that_the_base_has_already_is_refused(office: Office) -> None:
    base = office.ready_corpus()
    with office.database.unit_of_work() as uow:
        known = uow.corpora.file_ids(base.id)
    with pytest.raises(InvalidRequest, match=known[0]) as refused:
        ask(office, [office.upload(), *known], extends=base.id)
    assert refused.value.param == "files"
    with pytest.raises(NotFound) as missing:
        ask(office, [office.upload()], extends="corpus_none")
    assert missing.value.param == "extends"


def test_base_stays_until_its_extension_is_made_and_then_may_go(office: Office) -> None:
    base = office.new_corpus()
    of_base = make(office)
    extension = office.new_corpus(extends=base.id)
    with pytest.raises(Conflict, match=extension.id) as refused:
        delete(office, base.id)
    assert refused.value.error_code == "corpus_in_use"
    of_extension = make(office)
    delete(office, base.id)
    assert stored_pieces(office) == set(of_extension) > set(of_base)
    with office.database.unit_of_work() as uow:
        assert [piece.id for piece in uow.pieces.of_corpus(extension.id)] == of_extension
    office.new_corpus(extends=extension.id)
    assert make(office)[:2] == of_extension


def test_shared_pieces_go_with_the_last_corpus_that_has_them(office: Office) -> None:
    base = office.new_corpus()
    of_base = make(office)
    extension = office.new_corpus(extends=base.id)
    make(office)
    delete(office, extension.id)
    assert stored_pieces(office) == set(of_base)
    delete(office, base.id)
    assert stored_pieces(office) == set()


def test_old_file_may_be_deleted_while_it_is_extended_and_a_new_one_may_not(
    office: Office,
) -> None:
    base = office.new_corpus()
    make(office)
    extension = office.new_corpus(extends=base.id)
    with office.database.unit_of_work(write=True) as uow:
        [old, new] = uow.corpora.file_ids(extension.id)
        with pytest.raises(Conflict):
            files.delete(uow, new, store=office.store)
        files.delete(uow, old, store=office.store)


def test_evaluation_file_must_exist_and_is_kept_while_the_corpus_is_made(office: Office) -> None:
    with pytest.raises(NotFound) as missing:
        ask(office, [office.upload()], extends=None, clean={"decontaminate": "file_none"})
    assert missing.value.param == "clean.decontaminate"
    evaluation = office.upload()
    ask(office, [office.upload()], extends=None, clean={"decontaminate": evaluation})
    with office.database.unit_of_work(write=True) as uow, pytest.raises(Conflict) as refused:
        files.delete(uow, evaluation, store=office.store)
    assert refused.value.error_code == "file_in_use"
