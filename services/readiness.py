"""What must be ready before it can be used, and the words for when it is not, or never will be."""

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
    _require_ready(corpus)
    return corpus


def ready_tokenizer(uow: UnitOfWork, tokenizer_id: str, *, param: str | None = None) -> Tokenizer:
    """The tokenizer, ready.

    Raises:
        NotFound: there is no such tokenizer.
        Conflict: it is still being made (``tokenizer_not_ready``) or has failed
            (``tokenizer_failed``).
    """
    tokenizer = uow.tokenizers.get(tokenizer_id, param=param)
    _require_ready(tokenizer, param=param)
    return tokenizer


def refuse_failed(resource: Corpus | Tokenizer, *, param: str | None = None) -> None:
    """What has failed stays so: nothing can be made of it.

    Raises:
        Conflict: it has failed (``corpus_failed``, ``tokenizer_failed``).
    """
    if resource.status is not ResourceStatus.FAILED:
        return
    noun = _noun(resource)
    reason = (resource.error or {}).get("message", "nobody knows why.")
    raise Conflict(
        f"The {noun} {resource.id!r} has failed, and is not tried again; delete it and make "
        f"another. It said: {reason}",
        code=f"{noun}_failed",
        param=param,
    )


def _require_ready(resource: Corpus | Tokenizer, *, param: str | None = None) -> None:
    refuse_failed(resource, param=param)
    if resource.status is not ResourceStatus.READY:
        noun = _noun(resource)
        raise Conflict(
            f"The {noun} {resource.id!r} is {resource.status.value}, not ready yet.",
            code=f"{noun}_not_ready",
            param=param,
        )


def _noun(resource: Corpus | Tokenizer) -> str:
    return "corpus" if isinstance(resource, Corpus) else "tokenizer"
