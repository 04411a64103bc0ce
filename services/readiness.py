"""What must be ready before it can be used, and the words for when it is not."""

from __future__ import annotations

from core.errors import Conflict
from core.lifecycle import ResourceStatus
from db.tables import Corpus, Tokenizer
from db.unit_of_work import UnitOfWork


def ready_corpus(uow: UnitOfWork, corpus_id: str) -> Corpus:
    """The corpus, ready.

    Raises:
        NotFound: there is no such corpus.
        Conflict: it is still being made (``corpus_not_ready``) or has failed (``corpus_failed``).
    """
    corpus = uow.corpora.get(corpus_id)
    _require_ready("corpus", corpus)
    return corpus


def ready_tokenizer(uow: UnitOfWork, tokenizer_id: str, *, param: str | None = None) -> Tokenizer:
    """The tokenizer, ready.

    Raises:
        NotFound: there is no such tokenizer.
        Conflict: it is still being made (``tokenizer_not_ready``) or has failed
            (``tokenizer_failed``).
    """
    tokenizer = uow.tokenizers.get(tokenizer_id, param=param)
    _require_ready("tokenizer", tokenizer, param=param)
    return tokenizer


def _require_ready(noun: str, resource: Corpus | Tokenizer, *, param: str | None = None) -> None:
    if resource.status is ResourceStatus.READY:
        return
    if resource.status is ResourceStatus.FAILED:
        reason = (resource.error or {}).get("message", "for an unknown reason")
        raise Conflict(
            f"The {noun} {resource.id!r} has failed: {reason}", code=f"{noun}_failed", param=param
        )
    raise Conflict(
        f"The {noun} {resource.id!r} is {resource.status.value}, not ready yet.",
        code=f"{noun}_not_ready",
        param=param,
    )
