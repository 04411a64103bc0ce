"""Checkpoints that are made of uploaded Hugging Face folders, not by jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import BadData, InvalidRequest
from core.lifecycle import CheckpointStatus, ResourceStatus, WorkKind
from corpora.folder_upload import check_names
from db.tables import Checkpoint, Tokenizer
from db.unit_of_work import UnitOfWork
from services import attempts, checkpoints, work
from services.attempts import Claim
from services.checkpoints import StoredCheckpoint
from services.doorbell import Doorbell
from storage import keys
from storage.base import Store


@dataclass(frozen=True, slots=True)
class MadeCheckpoint:
    """A folder whose checkpoint and tokenizer are whole in the store."""

    stored: StoredCheckpoint
    model: Mapping[str, Any]
    """The shape."""
    tokenizer_id: str
    """Where its tokenizer lies, should there be no equal one."""
    tokenizer_sha256: str
    algorithm: str
    vocab_size: int


def create_from_files(
    uow: UnitOfWork, file_ids: Sequence[str], *, doorbell: Doorbell
) -> Checkpoint:
    """Ask for the uploaded files of a folder to be checked and made a checkpoint.

    Raises:
        NotFound: there is no such file.
        InvalidRequest: by their names they are no model.
    """
    files = [uow.files.get(file_id, lock=True, param="files") for file_id in file_ids]
    try:
        check_names([file.filename for file in files])
    except BadData as error:
        raise InvalidRequest(error.message, code=error.error_code, param="files") from None
    return _create(uow, {"files": list(file_ids)}, doorbell=doorbell)


def create_from_archive(uow: UnitOfWork, file_id: str, *, doorbell: Doorbell) -> Checkpoint:
    """Ask for an uploaded archive of a folder to be checked and made a checkpoint.

    Raises:
        NotFound: there is no such file.
    """
    uow.files.get(file_id, lock=True, param="archive")
    return _create(uow, {"archive": file_id}, doorbell=doorbell)


def finish(uow: UnitOfWork, claim: Claim, made: MadeCheckpoint, *, store: Store) -> None:
    """The checkpoint can be used, and so can its tokenizer.

    Raises:
        LeaseLost: the work is not ours any more.
    """
    uow.work.require(claim.work_id, fence=claim.fence)
    checkpoint = uow.checkpoints.get(claim.subject_id, lock=True)
    tokenizer = _tokenizer(uow, made, store=store)
    checkpoint.status = CheckpointStatus.COMPLETE
    checkpoint.model = dict(made.model)
    checkpoint.tokenizer_id = tokenizer.id
    checkpoint.tokenizer_sha256 = tokenizer.sha256
    checkpoint.fence = claim.fence
    checkpoints.record_files(uow, checkpoint, made.stored)
    attempts.complete(uow, claim)
    uow.record_event(
        "checkpoint.created",
        message="A checkpoint was made of uploaded files.",
        data={"checkpoint": checkpoint.id, "step": 0, "tokens": 0, "metrics": {}, "best": False},
    )


def _create(uow: UnitOfWork, source: Mapping[str, Any], *, doorbell: Doorbell) -> Checkpoint:
    checkpoint = uow.checkpoints.add(
        Checkpoint(status=CheckpointStatus.QUEUED, source=dict(source))
    )
    work.add(uow, kind=WorkKind.CHECKPOINT, subject_id=checkpoint.id, doorbell=doorbell)
    return checkpoint


def _tokenizer(uow: UnitOfWork, made: MadeCheckpoint, *, store: Store) -> Tokenizer:
    """The project's tokenizer of just these bytes, new only if there is none."""
    known = uow.tokenizers.find_by_digest(made.tokenizer_sha256)
    if known is not None:
        uow.after_commit(lambda: store.delete_prefix(keys.tokenizer(made.tokenizer_id)))
        return known
    tokenizer = uow.tokenizers.add(
        Tokenizer(
            id=made.tokenizer_id,
            name=made.tokenizer_id,
            status=ResourceStatus.READY,
            progress=1.0,
            algorithm=made.algorithm,
            vocab_size=made.vocab_size,
            sha256=made.tokenizer_sha256,
        )
    )
    uow.record_event(
        "tokenizer.ready",
        message=f"Tokenizer {tokenizer.name!r} came with an uploaded checkpoint.",
        data={"tokenizer": tokenizer.id, "corpus": None, "vocab_size": tokenizer.vocab_size},
    )
    return tokenizer
