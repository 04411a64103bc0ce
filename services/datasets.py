"""Datasets: corpora as token ids, made once for each corpus and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.errors import LeaseLost, NotFound
from core.ids import new_id
from core.lifecycle import ResourceStatus, WorkKind
from corpora.addressing import dataset_digest
from db.tables import Corpus, Dataset, Tokenizer
from db.unit_of_work import UnitOfWork
from services import work
from services.doorbell import Doorbell
from storage import keys
from storage.base import Store

_BYTES_PER_TOKEN: Final = 4.0
"""Of English text, where a tokenizer does not say."""


def find(uow: UnitOfWork, *, corpus: Corpus, tokenizer: Tokenizer) -> Dataset | None:
    """The corpus as the tokenizer encodes it, or None as long as it has not been made."""
    return uow.datasets.find_ready(_digest(corpus, tokenizer))


def find_or_ask(
    uow: UnitOfWork, *, corpus: Corpus, tokenizer: Tokenizer, doorbell: Doorbell
) -> Dataset:
    """The dataset of a corpus and a tokenizer that are ready; where there is none, its making.

    However many ask at once, one piece of work makes it.
    """
    assert corpus.digest is not None  # both are ready
    assert tokenizer.sha256 is not None
    found, _ = _add_once(
        uow,
        corpus_id=corpus.id,
        tokenizer_id=tokenizer.id,
        corpus_digest=corpus.digest,
        tokenizer_sha256=tokenizer.sha256,
    )
    dataset = uow.datasets.get(found.id, lock=True)
    # A corpus of the same content may be making it as its own end; nobody else can wait for that.
    if dataset.status is not ResourceStatus.READY and uow.work.find_for(dataset.id) is None:
        work.add(uow, kind=WorkKind.DATASET, subject_id=dataset.id, doorbell=doorbell)
    return dataset


def begin(
    uow: UnitOfWork,
    *,
    corpus_id: str,
    tokenizer_id: str,
    corpus_digest: str,
    tokenizer_sha256: str,
) -> Dataset:
    """The dataset that ends the making of a corpus; ready if equal content has been encoded.

    Two corpora of one content may make it at once: they put the same bytes in the same place.
    """
    dataset, is_new = _add_once(
        uow,
        corpus_id=corpus_id,
        tokenizer_id=tokenizer_id,
        corpus_digest=corpus_digest,
        tokenizer_sha256=tokenizer_sha256,
    )
    if is_new:
        dataset.status = ResourceStatus.PROCESSING
    return dataset


def finish(uow: UnitOfWork, dataset_id: str, *, manifest: Mapping[str, Any]) -> Dataset:
    """The shards and their manifest are in the store.

    Raises:
        LeaseLost: the dataset was deleted, and its bytes with it, while this was made.
    """
    dataset = uow.datasets.find(dataset_id, lock=True)
    if dataset is None:
        raise LeaseLost(f"Dataset {dataset_id!r} has been deleted while it was made.")
    dataset.status = ResourceStatus.READY
    dataset.num_train_tokens = manifest["splits"]["train"]["num_tokens"]
    dataset.manifest = dict(manifest)
    return dataset


@dataclass(frozen=True, slots=True)
class Parents:
    """What a dataset is made from."""

    corpus_id: str
    tokenizer_id: str


def parents(uow: UnitOfWork, dataset: Dataset) -> Parents:
    """A corpus and a tokenizer that give a dataset.

    Those that it was first asked for with, or, where they have been deleted, their equals.

    Raises:
        NotFound: there is none any more.
    """
    corpus = uow.corpora.find(dataset.corpus_id) or uow.corpora.find_by_digest(
        dataset.corpus_digest
    )
    tokenizer = uow.tokenizers.find(dataset.tokenizer_id) or uow.tokenizers.find_by_digest(
        dataset.tokenizer_sha256
    )
    if corpus is None or tokenizer is None:
        raise NotFound("The corpus or the tokenizer of this dataset has been deleted.")
    return Parents(corpus_id=corpus.id, tokenizer_id=tokenizer.id)


def of_this_corpus_alone(uow: UnitOfWork, corpus: Corpus) -> list[Dataset]:
    """The encodings of a corpus, made or begun, that no other of equal content can need."""
    return [
        dataset
        for dataset in uow.datasets.of_corpus(corpus.id, digest=corpus.digest)
        if uow.corpora.find_by_digest(dataset.corpus_digest, but=corpus.id) is None
    ]


def of_this_tokenizer_alone(uow: UnitOfWork, tokenizer: Tokenizer) -> list[Dataset]:
    """What a tokenizer has encoded, or is to encode, and no other with the same bytes can."""
    digest = tokenizer.sha256
    if digest is None or uow.tokenizers.find_by_digest(digest, but=tokenizer.id) is not None:
        return []
    return uow.datasets.of_tokenizer(digest)


def delete(uow: UnitOfWork, dataset: Dataset, *, store: Store) -> None:
    """Forget a dataset and whoever makes it; the bytes go after the commit."""
    known_work = uow.work.find_for(dataset.id, lock=True)
    if uow.datasets.find(dataset.id, lock=True) is None:
        return  # somebody else has just done it
    uow.work.delete_parts(dataset.id)
    if known_work is not None:
        uow.work.delete(known_work)
    uow.pieces.delete_of(dataset.id)
    uow.datasets.delete(dataset)
    if not uow.datasets.is_stored_for_others(dataset.prefix):
        uow.after_commit(lambda: store.delete_prefix(dataset.prefix))


def num_train_tokens(uow: UnitOfWork, *, corpus: Corpus, tokenizer: Tokenizer) -> int:
    """How many tokens the training split has: counted where it is encoded, estimated otherwise."""
    dataset = find(uow, corpus=corpus, tokenizer=tokenizer)
    if dataset is not None:
        return dataset.num_train_tokens
    assert corpus.splits is not None
    train = corpus.splits["train"]
    bytes_per_token = (tokenizer.stats or {}).get("bytes_per_token") or _BYTES_PER_TOKEN
    num_documents, num_bytes = int(train["num_documents"]), int(train["num_bytes"])
    return max(1, round(num_bytes / bytes_per_token) + num_documents)


def _digest(corpus: Corpus, tokenizer: Tokenizer) -> str:
    assert corpus.digest is not None  # both are ready
    assert tokenizer.sha256 is not None
    return dataset_digest(corpus_digest=corpus.digest, tokenizer_sha256=tokenizer.sha256)


def _add_once(
    uow: UnitOfWork,
    *,
    corpus_id: str,
    tokenizer_id: str,
    corpus_digest: str,
    tokenizer_sha256: str,
) -> tuple[Dataset, bool]:
    identifier = new_id("dataset")
    return uow.datasets.add_once(
        Dataset(
            id=identifier,
            digest=dataset_digest(corpus_digest=corpus_digest, tokenizer_sha256=tokenizer_sha256),
            corpus_digest=corpus_digest,
            tokenizer_sha256=tokenizer_sha256,
            corpus_id=corpus_id,
            tokenizer_id=tokenizer_id,
            prefix=keys.dataset(identifier),
        )
    )
