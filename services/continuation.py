"""Going on from a checkpoint: a job that begins with another job's weights, or uploaded ones."""

from __future__ import annotations

from typing import Final

from core.errors import Conflict, InvalidRequest
from core.job_request import TokenizerRequest
from core.lifecycle import ResourceStatus
from core.resolve import CheckpointFacts
from core.spec import ModelShape
from db.tables import Checkpoint, Tokenizer
from db.unit_of_work import UnitOfWork
from services import checkpoints

WEIGHTS_NAME: Final = "model.safetensors"
_FIELD: Final = "model.from"


def lock_start(uow: UnitOfWork, checkpoint_id: str) -> Checkpoint:
    """The checkpoint that a job is to start from; it stays until this transaction ends.

    Raises:
        NotFound: there is no such checkpoint.
        Conflict: it is not complete (``checkpoint_deleted``, ``checkpoint_queued``, ...).
    """
    checkpoint = checkpoints.lock(uow, checkpoint_id, param=_FIELD)
    checkpoints.require_complete(checkpoint, param=_FIELD)
    return checkpoint


def facts_of(uow: UnitOfWork, checkpoint: Checkpoint) -> CheckpointFacts:
    """What a spec depends on of a checkpoint.

    Raises:
        Conflict: it is not complete, or so old that nobody knows its shape
            (``checkpoint_shape_unknown``).
    """
    checkpoints.require_complete(checkpoint, param=_FIELD)
    weights = uow.checkpoints.find_file(checkpoint.id, WEIGHTS_NAME)
    if checkpoint.model is None or weights is None:
        raise Conflict(
            f"The shape of checkpoint {checkpoint.id!r} went with its job. Download its archive "
            "and upload that as a new checkpoint.",
            code="checkpoint_shape_unknown",
            param=_FIELD,
        )
    return CheckpointFacts(
        id=checkpoint.id,
        weights_sha256=weights.sha256,
        shape=ModelShape.model_validate(checkpoint.model),
    )


def tokenizer_for(
    uow: UnitOfWork, checkpoint: Checkpoint, wanted: TokenizerRequest | None
) -> Tokenizer:
    """The tokenizer that the checkpoint's model was trained with, locked.

    Its rows of the embedding mean nothing with any other.

    Raises:
        NotFound: there is no tokenizer of the id that is wanted.
        InvalidRequest: another one is wanted (``tokenizer_does_not_match``).
        Conflict: it has been deleted (``tokenizer_deleted``).
    """
    sha256 = checkpoint.tokenizer_sha256 or ""
    if wanted is not None and wanted.id is not None:
        given = uow.tokenizers.get(wanted.id, lock=True, param="tokenizer")
        if given.sha256 == sha256:
            return given
    own = uow.tokenizers.find(checkpoint.tokenizer_id or "", lock=True)
    if wanted is not None and not wanted.is_default:
        raise InvalidRequest(
            f"tokenizer: checkpoint {checkpoint.id!r} goes on with its own tokenizer"
            f"{'' if own is None else f', {own.id!r}'}; leave the field out. With another one "
            "its embedding would mean nothing.",
            code="tokenizer_does_not_match",
            param="tokenizer",
        )
    if own is not None and own.status is ResourceStatus.READY:
        return own
    equal = uow.tokenizers.find_by_digest(sha256)
    if equal is None:
        raise Conflict(
            f"The tokenizer of checkpoint {checkpoint.id!r} has been deleted. Upload the "
            "checkpoint's tokenizer.json as a tokenizer, and send the request again.",
            code="tokenizer_deleted",
            param=_FIELD,
        )
    return uow.tokenizers.get(equal.id, lock=True)
