"""The datasets of a job: opened, and held against its spec."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from tokenizers import Tokenizer

from core.errors import BadData
from core.spec import JobSpec
from corpora.shards import Dataset, open_dataset
from corpora.vocabulary import Vocabulary
from training.loader import Source


@dataclass(frozen=True, slots=True)
class JobData:
    """The datasets of a job, by the id of their corpus, in the order of the spec."""

    by_corpus: Mapping[str, Dataset]

    @property
    def tokenizer_json(self) -> bytes:
        """The tokenizer that made them all."""
        return next(iter(self.by_corpus.values())).tokenizer_json

    @property
    def digests(self) -> list[str]:
        """What a checkpoint is tied to."""
        return [dataset.manifest.digest for dataset in self.by_corpus.values()]

    def sources(self, spec: JobSpec) -> list[Source]:
        """Where samples come from, and in which shares."""
        shares = spec.corpus_shares
        return [
            Source(corpus, shares[corpus], dataset.train)
            for corpus, dataset in self.by_corpus.items()
        ]


def open_data(spec: JobSpec, directories: Sequence[Path]) -> JobData:
    """The datasets of the spec's corpora, if they are those, by one tokenizer.

    Raises:
        BadData: a dataset is damaged, or does not fit the spec.
    """
    corpora = list(spec.corpus_shares)
    if len(directories) != len(corpora):
        raise BadData(
            f"The spec names {len(corpora)} corpora, and {len(directories)} datasets are given.",
            param="corpus",
        )
    data = JobData(dict(zip(corpora, map(open_dataset, directories), strict=True)))
    manifests = [dataset.manifest for dataset in data.by_corpus.values()]
    if len({manifest.tokenizer_sha256 for manifest in manifests}) > 1:
        raise BadData("The datasets were made by different tokenizers.", param="tokenizer")
    settled = [] if isinstance(spec.corpus, str) else spec.corpus
    for part, manifest in zip(settled, manifests, strict=False):
        if part.digest != manifest.corpus_digest:
            raise BadData(f"The dataset of corpus {part.corpus} has another text.", param="corpus")
    return data


def verify_data(data: JobData) -> None:
    """Read every byte of the datasets, and compare it with their manifests.

    Other tokens than were written train another model, and nothing would tell.

    Raises:
        BadData: a file has other bytes; the message names it.
    """
    files = [
        (one.directory / file.name, file.sha256)
        for one in data.by_corpus.values()
        for split in one.manifest.splits.values()
        for shard in split.shards
        for file in shard.files.values()
    ]
    for path, expected in files:
        if _sha256(path) != expected:
            raise BadData(
                f"dataset file {path}: has other bytes than were written", code="dataset_damaged"
            )


class Verification:
    """Reads every byte of the datasets while the model is made and rehearsed.

    A context around what is first to read them: at its end they are known to be sound, and what
    damaged ones did there is not taken for a fault of ours.
    """

    def __init__(self, data: JobData) -> None:
        """Begin; a process that ends before does not wait for it."""
        self._error: Exception | None = None
        self._reader = Thread(target=self._verify, args=(data,), name="verify", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        """Nothing is known yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait until all is read.

        Raises:
            BadData: a file has other bytes than were written.
            OSError: it cannot be read.
        """
        del kind, trace
        self._reader.join()
        if self._error is not None:
            raise self._error from error

    def _verify(self, data: JobData) -> None:
        try:
            verify_data(data)
        except (BadData, OSError) as error:
            self._error = error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def vocabulary_for(spec: JobSpec, tokenizer: Tokenizer) -> Vocabulary:
    """What the tokenizer's ids mean, if the model has a row for each of them.

    Raises:
        BadData: it has not.
    """
    vocabulary = Vocabulary.from_tokenizer(tokenizer)
    if vocabulary.size != spec.model.vocab_size:
        raise BadData(
            f"The dataset's tokenizer has {vocabulary.size} tokens, the model's embedding "
            f"{spec.model.vocab_size} rows.",
            param="model.vocab_size",
        )
    return vocabulary
