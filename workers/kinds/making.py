"""Corpora and tokenizers: made by a corpus process, put into the store, then committed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import BadData, Unavailable
from core.lifecycle import WorkKind
from corpora.readers.source import SourceFile
from db.tables import Corpus
from db.unit_of_work import UnitOfWork
from services import making
from services.attempts import Claim
from storage import keys
from workers import corpus_process
from workers.heartbeat import Heartbeat
from workers.kinds.encoding import (
    corpus_directory,
    run_corpus_process,
    store_dataset,
    store_tokenizer,
)
from workers.kinds.unfinished import settle_unfinished
from workers.messages import FromChild, Progressed
from workers.workplace import Workplace

_SECONDS_BETWEEN_WRITES: Final = 1.0
_log = logging.getLogger(__name__)


def make(place: Workplace, claim: Claim, *, heartbeat: Heartbeat) -> None:
    """Carry out an attempt at a corpus or a tokenizer."""
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        making.start(uow, claim)
        recipe = _recipe(uow, claim)
        uow.commit()
    with place.scratch(claim) as directory:
        try:
            task = recipe.task(place, directory)
        except BadData as error:
            _fail(place, claim, heartbeat, error)
            return
        ending = run_corpus_process(
            place,
            claim,
            directory,
            task,
            heartbeat=heartbeat,
            on_message=_ProgressWriter(place, claim).hear,
        )
        if heartbeat.is_lost:
            return
        if ending.is_done:
            _keep(place, claim, directory, recipe, ending.result, heartbeat=heartbeat)
        else:
            heartbeat.stop()
            settle_unfinished(place, claim, ending, endings=making)


@dataclass(frozen=True, slots=True)
class _Source:
    """An uploaded file and the keys of its pieces."""

    id: str
    filename: str
    sha256: str
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _CorpusRecipe:
    sources: tuple[_Source, ...]
    options: Mapping[str, Any]
    algorithm: str
    tokenizer_id: str

    def task(self, place: Workplace, directory: Path) -> dict[str, Any]:
        files = [_bring(place, source, directory / "files") for source in self.sources]
        return {
            "make": "corpus",
            "files": [{**asdict(file), "path": str(file.path)} for file in files],
            "options": self.options,
            "algorithm": self.algorithm,
        }


@dataclass(frozen=True, slots=True)
class _TokenizerRecipe:
    corpus_id: str
    vocab_size: int | None
    algorithm: str
    tokenizer_id: str

    def task(self, place: Workplace, directory: Path) -> dict[str, Any]:
        del directory
        return {
            "make": "tokenizer",
            "corpus": str(corpus_directory(place, self.corpus_id)),
            "vocab_size": self.vocab_size,
            "algorithm": self.algorithm,
        }


def _recipe(uow: UnitOfWork, claim: Claim) -> _CorpusRecipe | _TokenizerRecipe:
    if claim.kind is WorkKind.TOKENIZER:
        tokenizer = uow.tokenizers.get(claim.subject_id)
        assert tokenizer.corpus_id is not None  # uploaded ones are not made
        return _TokenizerRecipe(
            corpus_id=tokenizer.corpus_id,
            vocab_size=tokenizer.requested_vocab_size,
            algorithm=tokenizer.algorithm,
            tokenizer_id=tokenizer.id,
        )
    corpus = uow.corpora.get(claim.subject_id)
    default = uow.tokenizers.get(corpus.default_tokenizer_id or "")
    return _CorpusRecipe(
        sources=tuple(_sources(uow, corpus)),
        options=corpus.options,
        algorithm=default.algorithm,
        tokenizer_id=default.id,
    )


def _sources(uow: UnitOfWork, corpus: Corpus) -> list[_Source]:
    file_ids = uow.corpora.file_ids(corpus.id)
    known = uow.files.get_many(file_ids)
    return [
        _Source(
            id=file_id,
            filename=known[file_id].filename if file_id in known else "",
            sha256=known[file_id].sha256 if file_id in known else "",
            pieces=tuple(blob.key for blob in uow.files.pieces(file_id)),
        )
        for file_id in file_ids
    ]


def _bring(place: Workplace, source: _Source, directory: Path) -> SourceFile:
    """The file's bytes as one local file; what is stored in one piece is not copied.

    Raises:
        BadData: the file has been deleted since the corpus was asked for.
    """
    if not source.pieces:
        raise BadData(
            f"File {source.id!r} has been deleted before the corpus was made.",
            code="file_deleted",
            param="files",
        )
    if len(source.pieces) == 1:
        path = place.store.materialise_file(source.pieces[0], cache=place.settings.cache_dir)
    else:
        directory.mkdir(exist_ok=True)
        path = directory / source.id
        with path.open("wb") as whole:
            for key in source.pieces:
                for chunk in place.store.open(key):
                    whole.write(chunk)
    return SourceFile(path=path, filename=source.filename, sha256=source.sha256, id=source.id)


class _ProgressWriter:
    """Writes progress once a second; a database that is away costs a few figures, no more."""

    def __init__(self, place: Workplace, claim: Claim) -> None:
        self._place = place
        self._claim = claim
        self._written_at = 0.0

    def hear(self, message: FromChild) -> None:
        """Write it if it is time."""
        now = time.monotonic()
        if not isinstance(message, Progressed) or now - self._written_at < _SECONDS_BETWEEN_WRITES:
            return
        self._written_at = now
        try:
            with self._place.database.unit_of_work(self._claim.project_id, write=True) as uow:
                making.advance(uow, self._claim, stage=message.stage, fraction=message.fraction)
                uow.commit()
        except Unavailable as error:
            _log.warning("Progress cannot be written: %s", error)


def _keep(
    place: Workplace,
    claim: Claim,
    directory: Path,
    recipe: _CorpusRecipe | _TokenizerRecipe,
    result: Mapping[str, Any],
    *,
    heartbeat: Heartbeat,
) -> None:
    """Bytes first, then the one transaction that makes them count."""
    if isinstance(recipe, _CorpusRecipe):
        # No fence in the address: whoever has lost the lease can only put the same bytes again.
        made = directory / corpus_process.CORPUS
        place.store.put_directory(keys.corpus(claim.subject_id), made)
    store_tokenizer(place, directory, recipe.tokenizer_id)
    store_dataset(place, directory, result["dataset"])
    tokenizer = making.MadeTokenizer(**result["tokenizer"])
    heartbeat.stop()
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        if isinstance(recipe, _CorpusRecipe):
            making.finish_corpus(
                uow,
                claim,
                corpus=making.MadeCorpus(**result["corpus"]),
                tokenizer=tokenizer,
                dataset=result["dataset"],
                doorbell=place.doorbell,
            )
        else:
            making.finish_tokenizer(
                uow,
                claim,
                tokenizer=tokenizer,
                dataset=result["dataset"],
                doorbell=place.doorbell,
            )
        uow.commit()


def _fail(place: Workplace, claim: Claim, heartbeat: Heartbeat, error: BadData) -> None:
    heartbeat.stop()
    with place.database.unit_of_work(claim.project_id, write=True) as uow:
        making.fail(uow, claim, code=error.error_code, message=error.message, param=error.param)
        uow.commit()
